"""Keywords: turns `comp.train(epochs=20, optimizer={"lr": 1e-3})` into the overrides of a command."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from kit.config.models import keys
from kit.errors import ConfigError, did_you_mean
from kit.kinds import KINDS, registry
from kit.kinds.base_classes import DATA_KINDS

if TYPE_CHECKING:
    from kit.core.files import StrPath

    class HasMember(Protocol):
        """A result with a run and views, such as those of `tta`, `embed`, `retrieve` and `soup`."""

        @property
        def member(self) -> str:
            """The member, such as runs/r@hflip."""

    # a run, a run with views, or what `tta` and others returned for one run; a list of these names several
    Reference: TypeAlias = StrPath | HasMember

SECTIONS = ("data", "decision")  # keys whose values are not plugins


def as_overrides(given: Mapping[str, Any], options: Iterable[str], root: Path) -> list[str]:
    """Returns the assignments of keywords. A dict becomes one assignment per option, such as `optimizer.lr=0.001`.

    A backbone that is not a plugin is the network of this name in timm. `options` are the method's own
    parameters, one of which a misspelt keyword may mean. Raises ConfigError C01 for an unknown keyword, C05
    for a value that JSON does not have.
    """
    known = keys()
    overrides: list[str] = []
    for name, value in given.items():
        if name.partition(".")[0] not in known:
            meant = did_you_mean(name, [*known, *options])
            hint = "kit config schema lists all keys"
            raise ConfigError(f"no option or config key {name!r}{meant}", code="C01", hint=hint)
        if _names_network(name, value, root):
            value = {"name": "timm", "arch": value}
        overrides += [f"{key}={_json(key, inner)}" for key, inner in _flatten(name, value)]
    return overrides


def _names_network(key: str, value: Any, root: Path) -> bool:
    """Whether a backbone is not a plugin, and so the name of a network in timm."""
    return key == "backbone" and isinstance(value, str) and value not in registry.locations(key, root)


def _flatten(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yields an object as one assignment per option, the plugin's name first."""
    key, _, inner = path.partition(".")
    is_spec = key in KINDS or (key in SECTIONS and inner.partition(".")[0] in DATA_KINDS)
    if not isinstance(value, Mapping) or not (is_spec or (key in SECTIONS and not inner)):
        yield path, value
        return
    if "name" in value and is_spec:
        yield path, value["name"]
    for option, option_value in value.items():
        if option != "name" or not is_spec:
            yield from _flatten(f"{path}.{option}", option_value)


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
    """Returns a path as text, and a number of numpy or torch as Python's."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError


def as_axes(given: str | Sequence[str] | Mapping[str, Any], root: Path) -> list[str]:
    """Returns the axes of a sweep as a command takes them. A list is tried value by value, a text stays as it is.

    `{"optimizer.lr": [0.001, 0.002]}` is `optimizer.lr=0.001,0.002`. Raises ConfigError as `as_overrides` does.
    """
    if isinstance(given, str):
        return [given]
    if not isinstance(given, Mapping):
        return list(given)
    axes: list[str] = []
    for name, value in given.items():
        for key, inner in _flatten(name, value):
            values = inner if isinstance(inner, list | tuple) else [inner]
            texts = [as_overrides({key: item}, (), root) for item in values]
            if all(isinstance(item, str) and not _names_network(key, item, root) for item in values):
                axes.append(f"{key}={','.join(values)}")  # such as a range
            else:
                axes += [text for text in texts[0][:-1] if text not in axes]
                last = texts[0][-1].partition("=")[0]
                axes.append(f"{last}={','.join(text[-1].partition('=')[2] for text in texts)}")
    return axes


def as_config_set(given: str | Mapping[str, Any], root: Path) -> str:
    """Returns a set of overrides as one text, `"loss=cutmix epochs=20"`.

    Raises ConfigError C05 for a value with spaces.
    """
    if isinstance(given, str):
        return given
    pairs = [text.partition("=") for text in as_overrides(given, (), root)]
    texts = [f"{key}={json.dumps(json.loads(value), separators=(',', ':'))}" for key, _, value in pairs]
    for text in texts:
        if len(text.split()) > 1:
            raise ConfigError(f"{text!r} has a space, and a value of config_set has none", code="C05")
    return " ".join(texts)


def as_spec_text(spec: str | Mapping[str, Any]) -> str:
    """Returns a plugin as a command takes it: its name, or JSON with its options."""
    return spec if isinstance(spec, str) else json.dumps(spec, default=_plain)


def as_references(given: Any) -> list[str]:
    """Returns runs as text. It takes names, paths, runs, results that have a member, and lists of these."""
    if member := getattr(given, "member", None):
        return [str(member)]
    if isinstance(given, str | os.PathLike):
        return [os.fspath(cast("StrPath", given))]
    try:
        return [text for reference in given for text in as_references(reference)]
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
