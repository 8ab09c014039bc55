"""Every splitter keeps the laws, and the laws notice one that does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kit.contracts import splitter as laws
from kit.data.table import Table
from kit.kinds import Splitter
from kit.kinds.registry import locations

LAWS = [law for name, law in vars(laws).items() if name.startswith("law_")]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", locations("splitter"))
def test_every_splitter_keeps_the_law(name: str, law: Callable[[Splitter], None]) -> None:
    law(Splitter.open(name))


class _Broken(Splitter):
    """Breaks the law that a test asks for."""

    fault: str = ""

    @classmethod
    def plugin_name(cls) -> str:
        return "broken"

    def split(self, table: Table, rng: np.random.Generator) -> np.ndarray:
        numbers = np.arange(len(table))[:, None] % 3
        return {
            "gap": numbers * 2,
            "flat": numbers[:, 0],
            "float": numbers.astype(float),
            "global": np.random.permutation(numbers),
            "repeats": np.concatenate([numbers, numbers], axis=1),
            "files": np.array([[len(str(path)) % 3] for path in table.paths]),
        }.get(self.fault, numbers)

    def train_rows(self, folds: np.ndarray, fold: int) -> np.ndarray:
        return np.ones(len(folds), bool) if self.fault == "all" else super().train_rows(folds, fold)


class _Grouped(_Broken):
    """Deals rows without a look at the groups that it asks for."""

    needs_groups = True


@pytest.mark.parametrize(
    ("law", "fault"),
    [
        (laws.law_fold_numbers_are_in_range, "gap"),
        (laws.law_fold_numbers_are_in_range, "flat"),
        (laws.law_fold_numbers_are_in_range, "float"),
        (laws.law_same_seed_same_folds, "global"),
        (laws.law_a_fold_belongs_to_one_repeat, "repeats"),
        (laws.law_names_of_classes_and_files_do_not_matter, "files"),
        (laws.law_no_model_trains_on_what_it_holds_out, "all"),
    ],
)
def test_a_law_notices_a_splitter_that_breaks_it(law: Callable[[Splitter], None], fault: str) -> None:
    law(_Broken())
    with pytest.raises(AssertionError):
        law(_Broken(fault=fault))


def test_the_law_of_groups_notices_torn_groups() -> None:
    with pytest.raises(AssertionError, match="tears"):
        laws.law_groups_stay_whole(_Grouped())
