"""Keywords: `comp.train(epochs=20, optimizer={"lr": 1e-3})` as the overrides that a command takes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from kit.config.models import keys
from kit.errors import ConfigError, did_you_mean
from kit.kinds import KINDS, registry

if TYPE_CHECKING:
    from kit.core.display import Results
    from kit.core.files import StrPath
    from kit.stages.prediction.tta import TtaResult
    from kit.stages.prediction.view_policy import ViewPolicyResult

    # a run, a run with views, or what `tta` returned
    Reference: TypeAlias = (
        StrPath | TtaResult | ViewPolicyResult | Results[TtaResult] | Results[ViewPolicyResult]
    )

SECTIONS = ("data", "decision")  # keys whose values are not plugins


def as_overrides(given: Mapping[str, Any], options: Iterable[str], root: Path) -> list[str]:
    """The assignments that keywords stand for: a dict is one assignment per option, such as `optimizer.lr=0.001`.

    A backbone that is no plugin is the network of this name in timm. `options` are the method's own parameters, which a
    misspelt keyword may mean. Raises ConfigError C01 for an unknown keyword, C05 for a value that JSON does not have.
    """
    known = keys()
    found: list[str] = []
    for name, value in given.items():
        if name.partition(".")[0] not in known:
            meant = did_you_mean(name, [*known, *options])
            hint = "kit config schema lists all keys"
            raise ConfigError(f"no option or config key {name!r}{meant}", code="C01", hint=hint)
        if name == "backbone" and isinstance(value, str) and value not in registry.locations(name, root):
            value = {"name": "timm", "arch": value}
        found += [f"{key}={_json(key, inner)}" for key, inner in _flatten(name, value)]
    return found


def _flatten(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """An object as one assignment per option, the plugin's name first."""
    key, _, inner = path.partition(".")
    if not isinstance(value, Mapping) or not (key in KINDS or (key in SECTIONS and not inner)):
        yield path, value
        return
    if "name" in value and key in KINDS:
        yield path, value["name"]
    for option, one in value.items():
        if option != "name" or key not in KINDS:
            yield from _flatten(f"{path}.{option}", one)


def _json(key: str, value: Any) -> str:
    try:
        return json.dumps(value, default=_plain)
    except (TypeError, ValueError):
        raise ConfigError(
            f"{key}: {type(value).__name__} is not a value of config.json",
            code="C05",
            hint="use a number, a text, a list or a dict",
        ) from None


def _plain(value: Any) -> Any:
    """A path as text, and a number of numpy or torch as Python's."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError


def as_references(given: Any) -> list[str]:
    """Runs as text: names, paths, runs, results that have a member, and lists of these, as `tta` returns."""
    if member := getattr(given, "member", None):
        return [str(member)]
    if isinstance(given, str | os.PathLike):
        return [os.fspath(cast("StrPath", given))]
    try:
        return [text for one in given for text in as_references(one)]
    except TypeError as error:
        raise ConfigError(
            f"{type(given).__name__} is not a run, a path or a result",
            code="C05",
            hint="give names such as 'r@hflip', or what train() and tta() return",
        ) from error


def check_choice(option: str, value: object, known: Iterable[str]) -> None:
    """Raises ConfigError C05 for a value that an option does not have."""
    known = list(known)
    if value not in known:
        meant = did_you_mean(str(value), known)
        raise ConfigError(f"{option}={value!r} is not one of {', '.join(known)}{meant}", code="C05")
