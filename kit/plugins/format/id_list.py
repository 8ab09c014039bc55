"""Id list: ids of other images in one cell, by `kit retrieve --within test` and `kit retrieve --index`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import pandas as pd
from pydantic import Field

from kit.data.predictions import Predictions
from kit.errors import ConfigError
from kit.kinds import Format
from kit.plugins.format._cells import doubles


class IdList(Format):
    """One column with ids of similar images, such as a ranking of index images or the set of a row's matches.

    `kit retrieve` writes it, because probabilities of classes do not name images. Raises ConfigError for
    `write`.

    Source: for example the sample submissions of Shopee Price Match Guarantee, `posting_id,matches`, and of
    Google Landmark Retrieval, `id,images`.
    """

    separator: str = Field(" ", min_length=1, description="separator between ids")
    images: Literal["sample", "other"] = Field(
        "sample", description="ids are those of the sample's own rows, or of other images such as an index"
    )

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        if sample.shape[1] != 2 or not len(sample) or self.check_rows(sample, sample, classes):
            return False
        return self.images == "other" or not self._may_be_labels(sample, classes)

    def _may_be_labels(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        """Whether cells are classes as well as ids, and rows do not contain their own id, as in a set of matches."""
        rows = [(name, cell.split(self.separator)) for name, cell in sample.to_numpy().tolist()]
        known = set(classes)
        return all(known.issuperset(ids) for _, ids in rows) and not all(name in ids for name, ids in rows)

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]]:
        lists = [cell.split(self.separator) for cell in table.iloc[:, 1]]
        known = set(sample.iloc[:, 0])
        faults = [(row, "no ids") for row, names in enumerate(lists) if names == [""]]
        if self.images == "sample":
            for row, names in enumerate(lists):
                strange = next((name for name in names if name and name not in known), None)
                if strange is not None:
                    faults.append((row, f"{strange!r} is not an id of the sample"))
        return [*faults, *doubles(lists)]

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        raise ConfigError(
            "the sample wants ids of images, and these are probabilities of classes",
            code="C21",
            hint="kit retrieve RUN --within test, or kit retrieve RUN --index FILE",
        )

    def write_lists(self, lists: Mapping[str, Sequence[str]], sample: pd.DataFrame) -> pd.DataFrame:
        """Returns the submission with the ids that `lists` has for each of the sample's ids."""
        cells = [self.separator.join(lists[name]) for name in sample.iloc[:, 0]]
        return sample.assign(**{str(sample.columns[1]): cells})
