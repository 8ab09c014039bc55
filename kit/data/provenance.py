"""Provenance: what predictions and checkpoints were made from, as their files have it in JSON.

    runs/r/fold-0/oof.parquet                run, fold, rows and checkpoints
    runs/r/predictions/d4/*.parquet          views, plugins, hashes of rows and images, and scores out of fold
    pseudo/p/*.parquet                       how teachers labelled the rows
    runs/r/fold-0/0012/manifest.json         rows, classes, config and versions of a checkpoint

`from_json` is the only reader of each and `to_json` the only writer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self

from kit.core.files import CheckedDict, StrPath
from kit.errors import Case, CheckpointError, InvalidError, KitError
from kit.kinds.target_json import read_target, target_of
from kit.kinds.targets import ONE_CLASS, Target

HINT_RECREATE = "delete the file; kit train or kit tta creates it again"

Rows = Literal["oof", "test", "train"]  # train: the rows that each fold's network trained on
Spec = str | Mapping[str, Any]  # a plugin, as config.json has it
Scores = Mapping[str, float]  # by metric


def unreadable(path: StrPath, error: Exception) -> InvalidError:
    """The error (D40) for a file whose predictions or provenance cannot be read."""
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
    """How teachers labelled rows: `told` names the kinds of rows, and `test` is the digest of the test images."""

    round: int  # 1 if no teacher was a student itself, else one more than theirs
    teachers: tuple[str, ...]
    checkpoints: Mapping[str, Mapping[str, str]]  # of each teacher, by fold
    ensembler: Mapping[str, Any]
    rule: Mapping[str, Any]
    labels: Literal["hard", "soft"]
    told: tuple[str, ...]  # of `test` and `train`
    folds_taught: tuple[int, ...]
    test: str


@dataclass(frozen=True)
class Provenance:
    """What predictions were made from, and their scores. An empty field is a key that their file lacks."""

    run: str = ""
    rows: Rows | Literal[""] = ""
    fold: int | None = None  # of a file that has one fold only
    views: str = ""
    spec: Spec | None = None  # of the views
    merge: str = ""
    classes: tuple[str, ...] = ()
    plugins: Mapping[str, str] = field(default_factory=dict)  # hashes of their sources
    checkpoints: Mapping[str, str] = field(default_factory=dict)  # tags by fold
    folds: str = ""  # fingerprint
    ids: str = ""  # fingerprint of the test rows
    images: str = ""  # fingerprint
    policy: PolicyRecord | None = None
    retrieval: RetrievalRecord | None = None
    labelling: LabellingRecord | None = None
    scores: Scores | None = None  # of the rows out of fold
    fold_scores: Mapping[str, Scores] | None = None
    other: Mapping[str, Any] = field(default_factory=dict)  # keys of another version of kit
    source: str = field(default="", compare=False)  # the file, for errors

    @classmethod
    def from_json(cls, found: Mapping[str, Any], source: StrPath = "") -> Self:
        """What a file has. Raises InvalidError D40 if a value has another form than `to_json` gives it."""
        try:
            return cls(**_read(found), source=str(source))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise unreadable(source, error) from None

    def to_json(self) -> dict[str, Any]:
        """JSON values by key, without empty fields."""
        made: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name in PARTS:
                made |= {} if value is None else _part(each.name, value)
            elif each.name not in ("other", "source") and not _is_empty(each.name, value):
                made[each.name] = list(value) if isinstance(value, tuple) else value
        return {**made, **self.other}

    def checkpoint(self, fold: int) -> str:
        """The tag of the checkpoint that predicted a fold. Raises InvalidError D40 if the file lacks it."""
        if str(fold) not in self.checkpoints:
            raise self._lacks(f"checkpoints of fold {fold}")
        return str(self.checkpoints[str(fold)])

    def require_scores(self) -> Scores:
        """The scores of all rows out of fold. Raises InvalidError D40 if the file lacks them."""
        if self.scores is None:
            raise self._lacks("scores")
        return self.scores

    def require_fold_scores(self) -> Mapping[str, Scores]:
        """The scores of each fold. Raises InvalidError D40 if the file lacks them."""
        if self.fold_scores is None:
            raise self._lacks("fold_scores")
        return self.fold_scores

    def list_fitted_records(self) -> list[str]:
        """The keys of records of what was fitted on the rows of all folds."""
        return [key for key in ("policy", "retrieval") if getattr(self, key) is not None]

    def _lacks(self, key: str) -> InvalidError:
        return unreadable(self.source, KeyError(key))


TEXTS = ("run", "rows", "views", "merge", "folds", "ids", "images")
MAPPINGS = ("plugins", "checkpoints", "scores", "fold_scores")
PARTS: Mapping[str, type[PolicyRecord | RetrievalRecord | LabellingRecord]] = {
    "policy": PolicyRecord,
    "retrieval": RetrievalRecord,
    "labelling": LabellingRecord,
}


def _read(found: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `Provenance`. Raises KeyError, TypeError or ValueError for values of another form."""
    rest, made = dict(found), dict[str, Any]()
    if "told" in rest:  # its keys stand among the others
        names = [each.name for each in fields(LabellingRecord)]
        made["labelling"] = _record("labelling", {name: rest.pop(name) for name in names})
    for name in ("policy", "retrieval"):
        if name in rest:
            made[name] = _record(name, rest.pop(name))
    for each in fields(Provenance):
        value = rest.pop(each.name, None) if each.name not in ("other", "source", *PARTS) else None
        if value is None:
            continue
        if (each.name in TEXTS and not isinstance(value, str)) or (
            each.name in MAPPINGS and not isinstance(value, Mapping)
        ):
            raise ValueError(f"{each.name} is {value!r}")
        made[each.name] = tuple(value) if each.name == "classes" else value
    # kit wrote it before its first release
    rest.pop("average_group", None)
    return {**made, "other": rest}


def _record(name: str, found: Mapping[str, Any]) -> Any:
    kind: Callable[..., Any] = PARTS[name]
    values = {each.name: found[each.name] for each in fields(PARTS[name])}
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def _part(name: str, part: Any) -> dict[str, Any]:
    """A record's keys: below its name, or among the others if it is of teachers."""
    values = {each.name: getattr(part, each.name) for each in fields(part)}
    made = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
    return made if name == "labelling" else {name: made}


def _is_empty(name: str, value: Any) -> bool:
    return value is None or value in ("", ()) or (name in ("plugins", "checkpoints") and not value)


def _lacks(key: str) -> KitError:
    return CheckpointError(f"a checkpoint has no key {key!r}", code="D51")


@dataclass(frozen=True)
class CheckpointProvenance:
    """What a checkpoint was trained on, and how its network is built. An empty field is a key that it lacks."""

    run: str = ""
    fold: int | None = None
    classes: tuple[str, ...] = ()
    class_counts: tuple[int, ...] = ()
    class_groups: tuple[str, ...] = ()
    class_factors: tuple[tuple[str, ...], ...] = ()
    total: int = 0  # training rows
    target: Target = ONE_CLASS
    means: tuple[float, ...] = ()  # of numbers: of each column of the rows that it was trained on
    scales: tuple[float, ...] = ()  # their standard deviations
    target_range: tuple[float, float] | None = None
    config: Mapping[str, Any] | None = None  # resolved
    asked: Mapping[str, Any] | None = None  # with "auto" where it was asked for
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None = None  # mean and deviation
    folds: str = ""  # fingerprint
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, str] = field(default_factory=dict)
    soup: tuple[str, ...] = ()  # the runs that were averaged
    other: Mapping[str, Any] = field(default_factory=dict)  # keys of another version of kit
    lacks: Callable[[str], KitError] = field(default=_lacks, compare=False, repr=False)  # a key's error

    @classmethod
    def from_json(cls, found: Mapping[str, Any], lacks: Callable[[str], KitError]) -> Self:
        """What a manifest has; `lacks` makes the error for a key that is missing or has another form."""
        rest, made = dict(found), dict[str, Any]()
        if "multi_label" in rest:  # of an older version
            made["target"] = read_target({"multi_label": rest.pop("multi_label")})
        for each in fields(cls):
            value = rest.pop(each.name, None) if each.name not in ("other", "lacks") else None
            if value is None:
                continue
            try:
                made[each.name] = _as_field(each.name, value)
            except (TypeError, ValueError):
                raise lacks(each.name) from None
        if made.get("config") is not None:
            made["config"] = CheckedDict(made["config"], lacks)
        return cls(**made, other=rest, lacks=lacks)

    def to_json(self) -> dict[str, Any]:
        """JSON values by key, without what is not known."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        found["target"] = self.target.to_json()
        optional = ("run", "folds", "versions", "machine", "soup", "means", "scales")
        return {
            **{
                key: value
                for key, value in found.items()
                if key not in ("other", "lacks") and value is not None and (value or key not in optional)
            },
            **self.other,
        }

    def require_config(self) -> Mapping[str, Any]:
        """The resolved config. Raises the error of a checkpoint that lacks it."""
        if self.config is None:
            raise self.lacks("config")
        return self.config

    def require_fold(self) -> int:
        """The fold that it was trained for. Raises the error of a checkpoint that lacks it."""
        if self.fold is None:
            raise self.lacks("fold")
        return self.fold

    def require_normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation of its images. Raises the error of a checkpoint that lacks them."""
        if self.normalisation is None:
            raise self.lacks("normalisation")
        return self.normalisation


def _as_field(name: str, value: Any) -> Any:
    """A manifest's value as the field holds it. Raises TypeError or ValueError for one of another form."""
    if name in ("classes", "class_counts", "class_groups", "means", "scales", "soup"):
        return tuple(value)
    if name in ("class_factors", "normalisation"):
        return tuple(map(tuple, value))
    if name == "asked":
        return dict(value) if isinstance(value, Mapping) else None
    if name in ("config", "versions", "machine"):
        return dict(value)
    if name in ("fold", "total"):
        return int(value)
    if name == "target_range":
        return float(value[0]), float(value[1])
    if name == "target":
        return target_of(value)
    return value
