"""`key=value` and keys of a text, opened against the config and the plugins, with plausible values in holes."""

from __future__ import annotations

import atexit
import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from kit.config.models import Data, keys
from kit.config.overrides import apply_overrides
from kit.config.parsing import validate_config
from kit.errors import KitError
from kit.kinds import KINDS
from kit.kinds.registry import find, load_plugin_class, locations
from kit.stages.training.sweep_space import RANGE, axis
from tests.advice_texts import HOLE, ROOT, Text, plausible

# what some key of config.json takes, for holes and placeholders
VALUES = (
    "2", "224", "0.5", "true", "", '"r"', "float32", "utf-8", ";", "contiguous", "white", "skip", "class_prior",
    "[1]", "[]", '["a"]', "{}",
)  # fmt: skip
# `name=value` that is not of config.json: the form itself, git's settings, fastai's arguments
NOT_KEYS = frozenset({"key", "merge", "core", "n", "beta"})
# an object may have objects within it, four deep
OBJECT = r"\{(?:[^{}\n]|\{(?:[^{}\n]|\{(?:[^{}\n]|\{[^{}\n]*\})*\})*\})*\}"
VALUE = rf"""(?:'[^']*'|"[^"]*"|<[^>\n]*>|{OBJECT}|\[[^\]\n]*\]|[^\s,;()`'"])+"""
PAIR = re.compile(rf"(?<![\w./\-\"'=&?])((?:[a-z_]|{HOLE})(?:\w|{HOLE})*(?:\.(?:\w|{HOLE})+)*)=({VALUE})")


@lru_cache
def with_examples() -> Path:
    """A workspace with the plugins that pages show, and a loss `mine` as `kit plugins new` would name it."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    root = Path(folder.name)
    for page in ("README.md", "docs/plugins.md"):
        text = (ROOT / page).read_text()
        for path, code in re.findall(r"```python\n# (plugins/\w+/\w+\.py)\n(.*?)```", text, flags=re.DOTALL):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(code)
    for file in (ROOT / "plugins").glob("*/*.py"):
        (root / "plugins" / file.parent.name).mkdir(parents=True, exist_ok=True)
        (root / "plugins" / file.parent.name / file.name).write_text(file.read_text())
    (root / "plugins" / "loss" / "mine.py").write_text((root / "plugins" / "loss" / "poly.py").read_text())
    return root


def pair_faults(text: Text, rest: str) -> Iterator[str]:
    """What cannot be opened of the `key=value` of a text; those that stand side by side are opened together."""
    groups: list[list[str]] = []
    end = -9
    rest = re.sub(HOLE, lambda match: plausible(text, match[0]) or match[0], rest)
    rest = re.sub(r"'((?:[a-z_]\w*)(?:\.\w+)*=[^']*)'", r"\1", rest)  # as a shell takes the quotes away
    if re.search(r"\w\(\w.*=", rest):  # a call of Python
        return
    for match in PAIR.finditer(rest):
        key, value = match[1], match[2].rstrip(".:?!")
        if re.search(rf"{HOLE}|[A-Z]", key) or key.split(".")[0] in NOT_KEYS:
            continue
        if key.split(".")[0] not in keys():
            if not text.keys_only and not re.match(r"[\"']|(?:True|False|None)\b", value):
                yield f"no key {key}"
            continue
        if match.start() - end == 1 and rest[end] == " ":
            groups[-1].append(f"{key}={value}")
        else:
            groups.append([f"{key}={value}"])
        end = match.end(2)
    for group in groups:
        yield from _opened(group)


def _opened(pairs: list[str]) -> list[str]:
    """Faults of pairs, with plausible values in their holes and placeholders."""
    open_at = [place for place, pair in enumerate(pairs) if _is_open(pair.partition("=")[2])]
    first: list[str] = []
    for values in _candidates(pairs, open_at):
        problems = opened_together(values)
        if not problems:
            return []
        first = first or problems
    return first


def _is_open(value: str) -> bool:
    bare = value.strip("'\"")
    return bool(
        re.search(rf"{HOLE}|^<.*>$|\.\.\.|…|^\{{\w+\}}$", bare) or re.fullmatch(r"[A-Z][A-Z_]*(\.\w+)?", bare)
    )


def _candidates(pairs: list[str], open_at: list[int]) -> Iterator[list[str]]:
    """The pairs with each of the values that their open ones might have."""
    if not open_at:
        yield pairs
        return
    names = [pairs[place].partition("=")[0] for place in open_at]
    options = [
        [*VALUES, *(locations(kind, with_examples()) if (kind := name.split(".")[0]) in KINDS else ())]
        for name in names
    ]
    for number in range(max(map(len, options))):
        candidate = list(pairs)
        for place, name, values in zip(open_at, names, options, strict=True):
            given, value = pairs[place].partition("=")[2], values[number % len(values)]
            whole = not re.search(HOLE, given) or re.fullmatch("<.*>", given)
            candidate[place] = f"{name}={value if whole else re.sub(HOLE, value, given)}"
        yield candidate


def opened_together(pairs: Iterable[str]) -> list[str]:
    """Faults of pairs on the digits' config; options that the plugin of the config lacks may be another's."""
    pairs = [re.sub(r"^([\w.]+)='(.*)'$", r"\1=\2", pair) for pair in pairs]
    pairs = [tried(pair)[0] if RANGE.fullmatch(pair.partition("=")[2]) else pair for pair in pairs]
    error = _open(pairs)
    if error is None:
        return []
    named = {pair.partition("=")[0] for pair in pairs}
    for kind in {name.split(".")[0] for name in named if "." in name} & set(KINDS) - named:
        for name in locations(kind, with_examples()):
            if _open([f"{kind}={name}", *pairs]) is None:
                return []
    return [error]


def _open(pairs: list[str]) -> str | None:
    """The error of opening a config with overrides, or None."""
    try:
        raw = apply_overrides(_base(any(pair.startswith("stages.") for pair in pairs)), pairs)
        validate_config(raw)
        for kind in KINDS:
            spec = raw.get(kind)
            for one in spec if isinstance(spec, list) else [spec]:
                if one is not None:
                    KINDS[kind].open(one, with_examples())
    except KitError as error:
        return f"{' '.join(pairs)}: {error}"
    return None


@lru_cache
def _base_text() -> str:
    config = json.loads((ROOT / "config.json").read_text())
    return json.dumps({**config, "backbone": {"name": "timm"}})


def _base(has_stages: bool = False) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(_base_text())
    return config | ({"stages": [{"epochs": 1}, {}]} if has_stages else {})


def tried(text: str) -> list[str]:
    """An axis of a sweep as overrides, each value by itself."""
    parsed_axis = axis(text)
    if parsed_axis.range is None:
        return [f"{parsed_axis.key}={value}" for value in parsed_axis.values]
    low = int(parsed_axis.range.low) if parsed_axis.range.whole else parsed_axis.range.low
    return [f"{parsed_axis.key}={low}"]


# ------------------------------------------------------------------------------------------ keys alone


def keys_in(text: str) -> list[str]:
    """Keys with dots that a text names without a value, such as data.on_unreadable_test."""
    first = "|".join(["data", *KINDS])
    pattern = rf"(?<![\w./@`\-{HOLE[1:-1]}])((?:{first})(?:\.[a-z_]\w*)+)(?![\w(/=*{HOLE[1:-1]}]|\.\w)"
    return re.findall(pattern, text)


def is_key(name: str) -> bool:
    """Whether `data.x` is a key, and `loss.x` an option of some loss; of `loss.base.x`, `base`."""
    first, second = name.split(".")[:2]
    if second in ("py", "csv", "json", "md", "html", "png", "txt", "zip"):
        return True
    return second in Data.model_fields if first == "data" else second in _options_of(first)


@lru_cache
def _options_of(kind: str) -> frozenset[str]:
    return frozenset(
        option
        for name in locations(kind, with_examples())
        for option in load_plugin_class(find(kind, name, with_examples()), KINDS[kind]).option_fields()
    )
