"""Predictions: probabilities by id, with their classes and provenance, stored as parquet.

A row is the prediction of one fold's model for one id. Out-of-fold rows come from the fold that held the id
out. A test id has one row per fold, and `mean` joins them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from kit.core.arrays import FoldNumbers, Ids, StoredProbabilities
from kit.core.files import StrPath, atomic_file, fingerprint, parse_json
from kit.errors import MAX_CASES, Case, InvalidError
from kit.kinds.target_json import read_target
from kit.kinds.targets import ONE_CLASS, Target

if TYPE_CHECKING:
    import pyarrow

HINT_RECREATE = "delete the file; kit train or kit tta creates it again"

Rows = Literal["oof", "test", "train"]  # train: the rows that each fold's network trained on
Spec = str | Mapping[str, Any]  # a plugin, as config.json has it
Scores = Mapping[str, float]  # by metric


def unreadable(path: StrPath, error: Exception) -> InvalidError:
    """Returns the error (D40) for a file whose predictions or provenance cannot be read."""
    detail = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InvalidError(
        f"{path} is not a predictions file of kit",
        code="D40",
        cases=[Case(detail, str(path))],
        hint=HINT_RECREATE,
    )


@dataclass(frozen=True)
class PolicyRecord:
    """A policy of views: the views, their names, the fitted ensembler, and the members that it joins."""

    views: Spec
    names: tuple[str, ...]
    recipe: Mapping[str, Any]
    members: tuple[str, ...]


@dataclass(frozen=True)
class RetrievalRecord:
    """How embeddings were compared: their views, the scorer and the rerankers."""

    embeddings: str
    scorer: Mapping[str, Any]
    rerankers: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class LabellingRecord:
    """How teachers labelled rows. `told` names the kinds of rows, and `test` is the digest of the test images."""

    round: int  # 1 if no teacher was a student itself, else one more than the highest of the teachers'
    teachers: tuple[str, ...]
    checkpoints: Mapping[str, Mapping[str, str]]  # of each teacher, by fold
    ensembler: Mapping[str, Any]
    rule: Mapping[str, Any]
    labels: Literal["hard", "soft", "numbers"]
    told: tuple[str, ...]  # of `test` and `train`
    folds_taught: tuple[int, ...]
    test: str


@dataclass(frozen=True)
class Provenance:
    """The origin of predictions, and their scores. An empty field is a key that their file lacks."""

    run: str = ""
    rows: Rows | Literal[""] = ""
    fold: int | None = None  # of a file that has one fold only
    views: str = ""
    spec: Spec | None = None  # of the views
    merge: str = ""
    bn_adapt: int | None = None  # prior rows of adapted batch norm
    classes: tuple[str, ...] = ()
    plugins: Mapping[str, str] = field(default_factory=dict)  # hashes of their sources
    checkpoints: Mapping[str, str] = field(default_factory=dict)  # tags by fold
    folds: str = ""  # fingerprint
    ids: str = ""  # fingerprint of the test rows
    images: str = ""  # fingerprint
    columns: str = ""  # fingerprint of the side columns that the network takes
    policy: PolicyRecord | None = None
    retrieval: RetrievalRecord | None = None
    labelling: LabellingRecord | None = None
    scores: Scores | None = None  # of the rows out of fold
    fold_scores: Mapping[str, Scores] | None = None
    other: Mapping[str, Any] = field(default_factory=dict)  # keys of another version of kit
    source: str = field(default="", compare=False)  # the file, for errors

    @classmethod
    def from_json(cls, record: Mapping[str, Any], source: StrPath = "") -> Self:
        """Reads a file's record. Raises InvalidError D40 if a value has another form than `to_json` gives it."""
        try:
            return cls(**_read(record), source=str(source))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise unreadable(source, error) from None

    def to_json(self) -> dict[str, Any]:
        """Returns JSON values by key, without empty fields."""
        record: dict[str, Any] = {}
        for attribute in fields(self):
            value = getattr(self, attribute.name)
            if attribute.name in PARTS:
                record |= {} if value is None else _part(attribute.name, value)
            elif attribute.name not in ("other", "source") and not _is_empty(attribute.name, value):
                record[attribute.name] = list(value) if isinstance(value, tuple) else value
        return {**record, **self.other}

    def checkpoint(self, fold: int) -> str:
        """Returns the tag of the checkpoint that predicted a fold. Raises InvalidError D40 if the file lacks it."""
        if str(fold) not in self.checkpoints:
            raise self._lacks(f"checkpoints of fold {fold}")
        return str(self.checkpoints[str(fold)])

    def require_scores(self) -> Scores:
        """Returns the scores of all rows out of fold. Raises InvalidError D40 if the file lacks them."""
        if self.scores is None:
            raise self._lacks("scores")
        return self.scores

    def require_fold_scores(self) -> Mapping[str, Scores]:
        """Returns the scores of each fold. Raises InvalidError D40 if the file lacks them."""
        if self.fold_scores is None:
            raise self._lacks("fold_scores")
        return self.fold_scores

    def list_fitted_records(self) -> list[str]:
        """Returns the keys of records that were fitted on the rows of all folds."""
        return [key for key in ("policy", "retrieval") if getattr(self, key) is not None]

    def _lacks(self, key: str) -> InvalidError:
        return unreadable(self.source, KeyError(key))


TEXTS = ("run", "rows", "views", "merge", "folds", "ids", "images", "columns")
MAPPINGS = ("plugins", "checkpoints", "scores", "fold_scores")
PARTS: Mapping[str, type[PolicyRecord | RetrievalRecord | LabellingRecord]] = {
    "policy": PolicyRecord,
    "retrieval": RetrievalRecord,
    "labelling": LabellingRecord,
}


def _read(record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of `Provenance`. Raises KeyError, TypeError or ValueError for values of another form."""
    rest, values = dict(record), dict[str, Any]()
    if "told" in rest:  # its keys are among the others
        names = [attribute.name for attribute in fields(LabellingRecord)]
        values["labelling"] = _record("labelling", {name: rest.pop(name) for name in names})
    for name in ("policy", "retrieval"):
        if name in rest:
            values[name] = _record(name, rest.pop(name))
    for attribute in fields(Provenance):
        value = rest.pop(attribute.name, None) if attribute.name not in ("other", "source", *PARTS) else None
        if value is None:
            continue
        if (attribute.name in TEXTS and not isinstance(value, str)) or (
            attribute.name in MAPPINGS and not isinstance(value, Mapping)
        ):
            raise ValueError(f"{attribute.name} is {value!r}")
        values[attribute.name] = tuple(value) if attribute.name == "classes" else value
    # kit wrote it before its first release
    rest.pop("average_group", None)
    return {**values, "other": rest}


def _record(name: str, record: Mapping[str, Any]) -> Any:
    kind: Callable[..., Any] = PARTS[name]
    values = {attribute.name: record[attribute.name] for attribute in fields(PARTS[name])}
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def _part(name: str, part: Any) -> dict[str, Any]:
    """Returns a record's keys: below its name, or among the others if it is a record of teachers."""
    values = {attribute.name: getattr(part, attribute.name) for attribute in fields(part)}
    inner = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
    return inner if name == "labelling" else {name: inner}


def _is_empty(name: str, value: Any) -> bool:
    return value is None or value in ("", ()) or (name in ("plugins", "checkpoints") and not value)


SCHEMA = 1
METADATA_KEY = b"kit"  # of the parquet schema's metadata
# maximum bytes of any file, and maximum expansion of a larger one
SIZE_LIMIT_BYTES, EXPANSION_LIMIT = 2**27, 200
ROW_GROUP_BYTES = 8 * 2**20  # bytes of a row group; one group is in memory while a file is written or read
# from this many classes on a group has this many rows, because each of its columns has a cost
MANY_CLASSES = 1000
Empty = Callable[[tuple[int, int]], np.ndarray]  # makes the array for the probabilities


@dataclass(frozen=True, eq=False)
class Predictions:
    """Probabilities (rows, classes) float32, aligned with `ids` and `folds` (rows,).

    `target` is the meaning of a row: a distribution, a probability of each class, or numbers.
    """

    ids: Ids  # (rows,) of str
    folds: FoldNumbers  # (rows,) int64, the fold whose model predicted the row; -1 = a mean over folds
    classes: tuple[str, ...]
    probabilities: StoredProbabilities
    provenance: Provenance = field(default_factory=Provenance)
    target: Target = ONE_CLASS

    @property
    def multi_label(self) -> bool:
        """Whether a row may have several labels. Each class is then a separate question."""
        return self.target.multi_label

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray | slice) -> Predictions:
        """Returns the rows at these positions or in this mask."""
        return replace(
            self, ids=self.ids[rows], folds=self.folds[rows], probabilities=self.probabilities[rows]
        )

    @classmethod
    def without_rows(cls, classes: tuple[str, ...], target: Target = ONE_CLASS) -> Self:
        """Returns predictions without rows."""
        nothing = np.empty((0, len(classes)), np.float32)
        return cls(np.array([], dtype=str), np.array([], np.int64), classes, nothing, target=target)

    def write(self, path: StrPath) -> None:
        """Writes checked parquet: id, fold, one float32 column per class; classes and `provenance` in its metadata.

        Raises InvalidError (D40, D41) for the findings of `check`.
        """
        write_parts(Path(path), [self], self.provenance)

    @classmethod
    def read(cls, path: StrPath, empty: Empty | None = None) -> Self:
        """Reads and checks a file of `write`, one row group at a time, into an array that `empty` makes.

        Raises InvalidError: D41 if the file does not exist, D40 if it is damaged or `check` refuses it.
        """
        import pyarrow
        from pyarrow import parquet

        path = Path(path)
        meta = _meta(path)
        try:
            with parquet.ParquetFile(path) as file:  # a dataset would refuse a class called `id`
                shape = (file.metadata.num_rows, file.metadata.num_columns - 2)
                _refuse_claim(shape[0] * shape[1], path.stat().st_size)
                shares = (empty or _in_memory)(shape)
                # pyarrow 18 fails to iterate a file without rows
                batches = file.iter_batches(_rows_a_group(shape[1])) if shape[0] else ()
                rows = _ids_and_folds(shares, batches)
            target = read_target(meta)
            predictions = cls(
                *rows, _names(meta["classes"]), shares, Provenance.from_json(meta["about"], path), target
            )
        except (pyarrow.ArrowException, OSError, KeyError, IndexError, TypeError, ValueError) as error:
            raise unreadable(path, error) from None
        return predictions.check(path)

    def check(self, source: StrPath = "", distributions: bool = True) -> Self:
        """Returns the same predictions if every row fits `target`, and occurs once per id and fold.

        Without `distributions` rows need not sum to 1, such as ranks.

        Raises InvalidError: D40 with file, row and id of other rows, D41 for duplicate rows.
        """
        if self.probabilities.shape != (len(self), len(self.classes)) or self.folds.shape != self.ids.shape:
            raise InvalidError(
                f"{len(self)} ids, {len(self.folds)} folds and {len(self.classes)} classes do not match "
                f"probabilities of shape {self.probabilities.shape}",
                code="D40",
            )
        bad: dict[int, str] = {}
        for rows in self._groups():
            faults = self.target.find_faults(self.probabilities[rows], free=not distributions)
            bad |= {rows.start + int(row): text for text, wrong in faults for row in np.flatnonzero(wrong)}
        if bad:
            cases = [
                Case(f"row {row}, id {str(self.ids[row])!r}: {bad[row]}", str(source), code="D40")
                for row in sorted(bad)
            ]
            text = f"{len(bad)} of {len(self)} rows are not {self.target.prediction}"
            raise InvalidError(text, code="D40", cases=cases)
        pairs, counts = np.unique(np.stack([self._numbers(), self.folds], axis=1), axis=0, return_counts=True)
        if (counts > 1).any():
            names = np.unique(self.ids)[pairs[counts > 1, 0]]
            cases = [Case("more than one row of one fold", id=str(name), code="D41") for name in names]
            raise InvalidError(f"{len(names)} ids have several rows of one fold", code="D41", cases=cases)
        return self

    def _groups(self) -> Iterator[slice]:
        """Yields the rows of each row group."""
        size = _rows_a_group(len(self.classes))
        return (slice(start, min(start + size, len(self))) for start in range(0, len(self), size))

    def _numbers(self) -> np.ndarray:
        return np.unique(self.ids, return_inverse=True)[1]

    def mean(self) -> Self:
        """Returns one row per id, the mean over its folds; ids in first-seen order, fold -1."""
        names, first, number = np.unique(self.ids, return_index=True, return_inverse=True)
        if len(names) == len(self.ids):
            return replace(self, folds=np.full(len(names), -1, dtype=np.int64))
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
        """Returns probabilities (len(ids), classes) of these ids in this order, found by id, never by position.

        Raises InvalidError (D41) with the ids that are missing, not requested (unless `allow_extra`), or have
        several rows (`mean` joins those).
        """
        wanted = np.asarray(list(ids), dtype=str)
        names, first = np.unique(self.ids, return_index=True)
        if len(names) != len(self.ids):
            raise InvalidError(
                f"{len(self.ids)} rows of {len(names)} ids cannot be aligned: average their folds first",
                code="D41",
            )
        missing = wanted[~np.isin(wanted, names)]
        extra = names[:0] if allow_extra else names[~np.isin(names, wanted)]
        if len(missing) or len(extra):
            raise _differs(missing, extra, len(wanted))
        return self.probabilities[first[np.searchsorted(names, wanted)]]


def write_parts(path: Path, parts: Sequence[Predictions], provenance: Provenance) -> None:
    """Writes several predictions with the same classes and disjoint folds, one after another into one file.

    Raises InvalidError (D40, D41) for the findings of `check`. Only a row group is in memory in addition to
    the parts.
    """
    from pyarrow import parquet

    for part in parts:
        part.check(path)
    meta = {
        "schema": SCHEMA,
        "classes": list(parts[0].classes),
        "about": provenance.to_json(),
        "target": parts[0].target.to_json(),
    }
    schema = _schema(parts[0].classes, json.dumps(meta, ensure_ascii=False, allow_nan=False))
    size, coded = sum(part.probabilities.nbytes for part in parts), ["id", "fold"]  # they rarely repeat
    with atomic_file(path, size) as new, parquet.ParquetWriter(new, schema, use_dictionary=coded) as file:
        for part in parts:
            for rows in part._groups():
                file.write_table(_table(part, rows, schema))


def _rows_a_group(classes: int) -> int:
    return max(1, ROW_GROUP_BYTES // (4 * min(max(classes, 1), MANY_CLASSES)))


def _schema(classes: Sequence[str], meta: str) -> pyarrow.Schema:
    import pyarrow

    columns = [
        ("id", pyarrow.string()),
        ("fold", pyarrow.int64()),
        *((k, pyarrow.float32()) for k in classes),
    ]
    return pyarrow.schema(columns, metadata={METADATA_KEY: meta.encode()})


def _table(part: Predictions, rows: slice, schema: pyarrow.Schema) -> pyarrow.Table:
    import pyarrow

    columns = np.ascontiguousarray(part.probabilities[rows].T, dtype=np.float32)
    arrays = [
        pyarrow.array(part.ids[rows].tolist(), pyarrow.string()),
        pyarrow.array(part.folds[rows].astype(np.int64)),
        *(pyarrow.array(column) for column in columns),
    ]
    return pyarrow.Table.from_arrays(arrays, schema=schema)


def provenance_of(path: Path) -> Provenance:
    """Returns the provenance in a file, without reading its rows. Raises InvalidError as `read` does."""
    return Provenance.from_json(_meta(path)["about"], path)


def classes_of(path: Path) -> tuple[str, ...]:
    """Returns the classes in a file, without reading its rows. Raises InvalidError as `read` does."""
    try:
        return _names(_meta(path)["classes"])
    except (KeyError, TypeError, ValueError) as error:
        raise unreadable(path, error) from None


def _meta(path: Path) -> dict[str, Any]:
    """Returns the metadata of a file of `write`. Raises InvalidError (D40, D41)."""
    import pyarrow
    from pyarrow import parquet

    if not path.is_file():
        raise InvalidError(f"no predictions at {path}", code="D41")
    try:
        meta = dict(parse_json(parquet.read_schema(path).metadata[METADATA_KEY]))
        newer = int(meta["schema"]) > SCHEMA
        about = {} if newer else dict(meta["about"])
    except (pyarrow.ArrowException, OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise unreadable(path, error) from None
    if newer:
        text = f"{path} has schema {meta['schema']}, and this version of kit reads up to {SCHEMA}"
        raise InvalidError(text, code="D40", hint="use the version of kit that wrote it, or a newer one")
    return {**meta, "about": about}


def _refuse_claim(cells: int, size: int) -> None:
    """Raises ValueError for a small file that would fill the memory. kit's files expand at most 25 times."""
    if 4 * cells > max(SIZE_LIMIT_BYTES, EXPANSION_LIMIT * size):
        raise ValueError(f"the header says {cells} cells, too many for its {size} bytes")


def _names(classes: Sequence[Any]) -> tuple[str, ...]:
    if not all(isinstance(name, str) for name in classes):
        raise ValueError("a class is not text")
    return tuple(classes)


def _in_memory(shape: tuple[int, int]) -> np.ndarray:
    return np.empty(shape, np.float32)


def _ids_and_folds(
    shares: np.ndarray, groups: Iterable[pyarrow.RecordBatch]
) -> tuple[np.ndarray, np.ndarray]:
    """Reads ids and folds of a file of `write`, and its probabilities into `shares`. Columns are found by position."""
    ids, folds, begun = [np.array([], dtype=str)], [np.array([], dtype=np.int64)], 0
    for group in groups:
        ids.append(np.asarray(group.column(0).to_pylist(), dtype=str))
        folds.append(group.column(1).to_numpy(zero_copy_only=False).astype(np.int64))
        columns = [column.to_numpy(zero_copy_only=False) for column in group.columns[2:]]
        shares[begun : begun + group.num_rows] = np.stack(columns, axis=1)
        begun += group.num_rows
    if begun != len(shares):
        raise ValueError(f"the header says {len(shares)} rows, the file has {begun}")
    return np.concatenate(ids), np.concatenate(folds)


def _differs(missing: np.ndarray, extra: np.ndarray, wanted: int) -> InvalidError:
    cases = [Case("is missing", id=str(name), code="D41") for name in missing[:MAX_CASES]]
    cases += [Case("is not needed", id=str(name), code="D41") for name in extra[:MAX_CASES]]
    return InvalidError(
        f"{len(missing)} of {wanted} ids have no prediction, and {len(extra)} predictions have other ids",
        code="D41",
        cases=cases,
    )


def concat_predictions(parts: Sequence[Predictions], provenance: Provenance) -> Predictions:
    """Returns the rows of several predictions of the same classes, one after another."""
    return Predictions(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.folds for part in parts]),
        parts[0].classes,
        np.concatenate([part.probabilities for part in parts]),
        provenance,
        parts[0].target,
    )


def common_ids(members: Sequence[Predictions]) -> np.ndarray:
    """Returns the ids that all members have, sorted as text."""
    others = [member.ids for member in members[1:] if member.ids is not members[0].ids]
    shared = set(members[0].ids.tolist()).intersection(*(ids.tolist() for ids in others))
    return np.asarray(sorted(shared), dtype=str)


def ids_fingerprint(ids: Iterable[str]) -> str:
    """Returns 64 hex digits that are equal for the same set of ids in any order."""
    return fingerprint(sorted({str(name) for name in ids}))
