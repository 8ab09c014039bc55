"""Predictions: probabilities by id, with the classes and what they were made from; kept as parquet.

A row says what the model of one fold predicts for one id. Out-of-fold rows come from the fold that held the id
out; a test id has a row a fold, and `mean` joins them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from kit.errors import SHOWN, Case, InvalidError
from kit.files import fingerprint, written

if TYPE_CHECKING:
    import pyarrow

SCHEMA = 1
KEY = b"kit"  # of the parquet schema's metadata
AGAIN = "delete the file, then kit train or kit tta makes it anew"
TOLERANCE = 1e-3  # of a row's sum; float16 probabilities of 100 classes stay within it


@dataclass(frozen=True, eq=False)
class Predictions:
    """Probabilities (rows, classes) float32, aligned with `ids` and `folds` (rows,).

    Rows sum to 1, unless they are multi-label: each class is a question of its own then.
    """

    ids: np.ndarray  # (rows,) of str
    folds: np.ndarray  # (rows,) int64, the fold whose model predicted the row; -1 = a mean over folds
    classes: tuple[str, ...]
    probabilities: np.ndarray
    about: Mapping[str, Any] = field(default_factory=dict)  # JSON values, kept in the parquet's metadata
    multi_label: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> Predictions:
        """The rows at these positions, or where a mask is true."""
        return replace(
            self, ids=self.ids[rows], folds=self.folds[rows], probabilities=self.probabilities[rows]
        )

    def write(self, path: Path) -> None:
        """Writes checked parquet: id, fold, one float32 column a class; classes and `about` in its metadata.

        Raises InvalidError (D40, D41) for what `check` finds.
        """
        import pyarrow
        from pyarrow import parquet

        self.check(path)
        meta = {
            "schema": SCHEMA, "classes": list(self.classes), "about": dict(self.about),
            "multi_label": self.multi_label,
        }  # fmt: skip
        columns = np.ascontiguousarray(self.probabilities.T, dtype=np.float32)
        table = pyarrow.Table.from_arrays(
            [
                pyarrow.array(self.ids.tolist(), pyarrow.string()),
                pyarrow.array(self.folds.astype(np.int64)),
                *(pyarrow.array(column) for column in columns),
            ],
            names=["id", "fold", *self.classes],
            metadata={KEY: json.dumps(meta, ensure_ascii=False, allow_nan=False).encode()},
        )
        with written(path) as part:
            parquet.write_table(table, part)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads and checks what `write` wrote.

        Raises InvalidError: D41 where there is no file, D40 for a damaged one or one that `check` refuses.
        """
        import pyarrow
        from pyarrow import parquet

        if not path.is_file():
            raise InvalidError(f"no predictions at {path}", code="D41")
        try:
            with parquet.ParquetFile(path) as file:  # a dataset would refuse a class that is called `id`
                table = file.read()
            meta = json.loads(table.schema.metadata[KEY])
            if meta["schema"] > SCHEMA:
                text = f"{path} has schema {meta['schema']}, this kit reads up to {SCHEMA}"
                raise InvalidError(text, code="D40", hint="the kit that wrote it, or a newer one")
            several = bool(meta.get("multi_label", False))
            made = cls(*_arrays(table), tuple(meta["classes"]), _shares(table), meta["about"], several)
        except (pyarrow.ArrowException, OSError, KeyError, IndexError, TypeError, ValueError) as error:
            detail = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InvalidError(
                f"{path} is not a predictions file of kit",
                code="D40",
                cases=[Case(detail, str(path))],
                hint=AGAIN,
            ) from None
        return made.check(path)

    def check(self, source: Path | str = "") -> Self:
        """The same predictions, if every row is a distribution (multi-label: numbers of 0 to 1), once an id and fold.

        Raises InvalidError: D40 names file, row and id of what is no distribution, D41 rows that are there twice.
        """
        if self.probabilities.shape != (len(self), len(self.classes)) or self.folds.shape != self.ids.shape:
            raise InvalidError(
                f"{len(self)} ids, {len(self.folds)} folds and {len(self.classes)} classes do not fit "
                f"probabilities of shape {self.probabilities.shape}",
                code="D40",
            )
        faults = _faults(self.probabilities, self.multi_label)
        bad = {int(row): text for text, rows in faults for row in np.flatnonzero(rows)}
        if bad:
            cases = [
                Case(f"row {row}, id {str(self.ids[row])!r}: {bad[row]}", str(source), code="D40")
                for row in sorted(bad)
            ]
            text = f"{len(bad)} of {len(self)} rows are no probabilities"
            raise InvalidError(text, code="D40", cases=cases)
        pairs, counts = np.unique(np.stack([self._numbers(), self.folds], axis=1), axis=0, return_counts=True)
        if (counts > 1).any():
            names = np.unique(self.ids)[pairs[counts > 1, 0]]
            cases = [Case("more than one row of a fold", id=str(name), code="D41") for name in names]
            raise InvalidError(f"{len(names)} ids have several rows of one fold", code="D41", cases=cases)
        return self

    def _numbers(self) -> np.ndarray:
        return np.unique(self.ids, return_inverse=True)[1]

    def mean(self) -> Self:
        """One row an id, the mean over its folds; ids in first-seen order, fold -1."""
        names, first, number = np.unique(self.ids, return_index=True, return_inverse=True)
        sums = np.zeros((len(names), len(self.classes)))
        np.add.at(sums, number, self.probabilities)
        means = sums / np.bincount(number, minlength=len(names))[:, None]
        order = np.argsort(first)
        return replace(
            self,
            ids=names[order],
            folds=np.full(len(names), -1, dtype=np.int64),
            probabilities=means[order].astype(np.float32),
        )

    def align(self, ids: Iterable[str], allow_extra: bool = False) -> np.ndarray:
        """Probabilities (len(ids), classes) of these ids in this order, found by id, never by position.

        Raises InvalidError (D41) with the ids that are missing, there and not asked for (unless `allow_extra`),
        or have several rows (`mean` joins those).
        """
        wanted = np.asarray(list(ids), dtype=str)
        names, first = np.unique(self.ids, return_index=True)
        if len(names) != len(self.ids):
            raise InvalidError(
                f"{len(self.ids)} rows of {len(names)} ids cannot be aligned: join their folds", code="D41"
            )
        missing = wanted[~np.isin(wanted, names)]
        extra = names[:0] if allow_extra else names[~np.isin(names, wanted)]
        if len(missing) or len(extra):
            raise _differs(missing, extra, len(wanted))
        return self.probabilities[first[np.searchsorted(names, wanted)]]


def about_of(path: Path) -> dict[str, Any]:
    """What a predictions file says about itself, its rows left unread. Raises InvalidError as `read` does."""
    import pyarrow
    from pyarrow import parquet

    if not path.is_file():
        raise InvalidError(f"no predictions at {path}", code="D41")
    try:
        return dict(json.loads(parquet.read_schema(path).metadata[KEY])["about"])
    except (pyarrow.ArrowException, OSError, KeyError, TypeError, ValueError):
        raise InvalidError(f"{path} is not a predictions file of kit", code="D40", hint=AGAIN) from None


def _arrays(table: pyarrow.Table) -> tuple[np.ndarray, np.ndarray]:
    """Ids and folds of what `write` wrote."""
    return np.asarray(table.column(0).to_pylist(), dtype=str), table.column(1).to_numpy().astype(np.int64)


def _shares(table: pyarrow.Table) -> np.ndarray:
    """Probabilities (rows, classes) of what `write` wrote; the columns are found by place, whatever their names."""
    shares = np.stack([column.to_numpy() for column in table.columns[2:]], axis=1)
    return shares.astype(np.float32, copy=False)


def _faults(probabilities: np.ndarray, multi_label: bool) -> list[tuple[str, np.ndarray]]:
    """What can be wrong with a row, and which rows it is wrong with, (rows,) bool; the last one is what counts."""
    with np.errstate(invalid="ignore", over="ignore"):
        above = np.asarray((probabilities > 1).any(axis=1))
        unequal = ~(np.abs(probabilities.sum(axis=1, dtype=np.float64) - 1) <= TOLERANCE)
        return [
            ("a value above 1", above) if multi_label else ("its sum is not 1", np.asarray(unequal)),
            ("a negative value", np.asarray((probabilities < 0).any(axis=1))),
            ("an infinite value", np.isinf(probabilities).any(axis=1)),
            ("NaN", np.isnan(probabilities).any(axis=1)),
        ]


def _differs(missing: np.ndarray, extra: np.ndarray, wanted: int) -> InvalidError:
    cases = [Case("is missing", id=str(name), code="D41") for name in missing[:SHOWN]]
    cases += [Case("is not asked for", id=str(name), code="D41") for name in extra[:SHOWN]]
    return InvalidError(
        f"of {wanted} ids {len(missing)} have no prediction, and {len(extra)} predictions are of other ids",
        code="D41",
        cases=cases,
    )


def common_ids(members: Sequence[Predictions]) -> np.ndarray:
    """The ids that all members have, sorted as text."""
    others = [member.ids for member in members[1:] if member.ids is not members[0].ids]
    shared = set(members[0].ids.tolist()).intersection(*(ids.tolist() for ids in others))
    return np.asarray(sorted(shared), dtype=str)


def ids_fingerprint(ids: Iterable[str]) -> str:
    """64 hex digits that are equal for the same set of ids, whatever their order."""
    return fingerprint(sorted({str(name) for name in ids}))
