"""Image rows: one row per similar image with its score, by `kit retrieve --within test` and `--index`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from kit.data.predictions import Predictions
from kit.errors import ConfigError
from kit.kinds import Format
from kit.plugins.format._cells import no_shares
from kit.plugins.format._numbers import text


class ImageRows(Format):
    """Several rows per id, each with the id of a similar image and a score from 0 to 1, the best first.

    `kit retrieve` writes it, because probabilities of classes do not name images. The score of a cosine c is
    (1 + c) / 2. An id may have any number of rows. Raises ConfigError for `write`.

    Source: for example the submission of Where's Whale-do?, `query_id,database_image_id,score`.
    """

    several_rows: ClassVar[bool] = True
    any_count: ClassVar[bool] = True

    images: Literal["sample", "other"] = Field(
        "sample", description="ids are those of the sample's own rows, or of other images such as an index"
    )

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        if sample.shape[1] != 3 or not len(sample) or self.check_rows(sample, sample, classes):
            return False
        return self.images == "other" or not set(classes).issuperset(sample.iloc[:, 1])

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]]:
        ids, images = table.iloc[:, 0].tolist(), table.iloc[:, 1].tolist()
        known, seen = set(sample.iloc[:, 0]), set[tuple[str, str]]()
        faults = []
        for row, pair in enumerate(zip(ids, images, strict=True)):
            if pair in seen:
                faults.append((row, f"{pair[1]!r} is there twice"))
            elif self.images == "sample" and pair[1] not in known:
                faults.append((row, f"{pair[1]!r} is not an id of the sample"))
            seen.add(pair)
        return [*faults, *no_shares(table.iloc[:, 2], str(table.columns[2]))]

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        raise ConfigError(
            "the sample wants ids of images, and these are probabilities of classes",
            code="C21",
            hint="kit retrieve RUN --within test, or kit retrieve RUN --index FILE",
        )

    def write_ranked(
        self, lists: Mapping[str, Sequence[tuple[str, float]]], sample: pd.DataFrame
    ) -> pd.DataFrame:
        """Returns the submission with the images and cosines that `lists` has for each of the sample's ids."""
        ids = dict.fromkeys(sample.iloc[:, 0])
        rows = [(name, image) for name in ids for image, _ in lists[name]]
        cosines = np.array([cosine for name in ids for _, cosine in lists[name]])
        rows_table = pd.DataFrame(rows, columns=sample.columns[:2], dtype=str)
        return rows_table.assign(**{str(sample.columns[2]): text(np.clip((1 + cosines) / 2, 0, 1))})
