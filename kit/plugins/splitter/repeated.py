"""Repeated: another splitter several times, with other draws each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.errors import ConfigError, KitError
from kit.kinds import Splitter
from kit.plugins.splitter.stratified_kfold import StratifiedKfold

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import FoldNumbers, RowMask
    from kit.data.table import Table


class Repeated(Splitter):
    """Repeats another splitter with new draws. Each row is held out once per repeat, each time by another model.

    Fold numbers continue over the repeats: 2 repeats of 5 folds are the folds 0 to 9. More repeats do not
    change the folds of the first ones.

    Source: sklearn.model_selection.RepeatedKFold and RepeatedStratifiedKFold, for any splitter.
    """

    label_kinds = ("class_index", "multi_hot", "numbers", "soft", "several")

    base: Splitter = Field(StratifiedKfold(), description="the splitter that is repeated")
    repeats: int = Field(2, ge=2, le=100, description="number of repeats")

    def split(self, table: Table, rng: np.random.Generator) -> FoldNumbers:
        import numpy as np

        from kit.core.randomness import generator

        seed, parts, start = int(rng.integers(2**31)), [], 0
        for repeat in range(self.repeats):
            try:
                numbers = self.base.split(table, generator(seed, "repeat", repeat))
            except KitError as error:  # its hints name options of the base
                raise error.replace(hint=error.hint.replace("splitter.", "splitter.base.")) from error
            parts.append(np.where(numbers < 0, numbers, numbers + start))
            start = int(parts[-1].max()) + 1
        if all((_from_zero(part) == parts[0]).all() for part in parts):
            raise ConfigError(
                f"splitter {self.base.plugin_name()!r} makes the same folds in all {self.repeats} repeats",
                code="C08",
                hint=f"splitter={self.base.plugin_name()}",
            )
        return np.concatenate(parts, axis=1)

    def train_rows(self, folds: FoldNumbers, fold: int) -> RowMask:
        width = folds.shape[1] // self.repeats
        repeat = int((folds == fold).any(axis=0).argmax()) // width
        own = folds[:, repeat * width : (repeat + 1) * width]
        return self.base.train_rows(_from_zero(own), fold - int(own[own >= 0].min()))

    def asks_for_groups(self) -> bool:
        return self.base.asks_for_groups()


def _from_zero(folds: FoldNumbers) -> np.ndarray:
    """Returns one repeat's fold numbers as its splitter gave them, from 0; -1 stays."""
    import numpy as np

    return np.where(folds < 0, folds, folds - folds[folds >= 0].min())
