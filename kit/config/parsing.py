"""Parses config.json's text into the two models. Each fault is reported with its key, its line and the nearest name."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from kit.config.models import (
    SECTIONS,
    Competition,
    Data,
    DecisionRule,
    Experiment,
    Stage,
    Strict,
    keys,
    split,
)
from kit.core.renamed import CONFIG_KEYS, CONFIG_VALUES
from kit.errors import MAX_CASES, Case, CheckpointError, ConfigError, did_you_mean
from kit.kinds.plugin import explain_validation_error

PARTS: dict[str, type[Strict]] = {
    "stages": Stage,
    "decision": DecisionRule,
}  # sections of config.json beside data
MAX_CHARACTERS = 2**22  # characters; a config with a line for each of 10,000 classes has half a million


def parse(text: str, file: str = "config.json") -> dict[str, Any]:
    """Returns config.json's text as an object. Raises ConfigError with the line of the fault."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen = Counter(key for key, _ in pairs)
        double = next((key for key, times in seen.items() if times > 1), None)
        if double is not None:
            raise ConfigError(
                f"{file} has the key {double!r} twice{_at(text, double, last=True)}", code="C03"
            )
        return dict(pairs)

    if len(text) > MAX_CHARACTERS:
        raise ConfigError(
            f"{file} has {len(text)} characters, and a config may have at most {MAX_CHARACTERS}", code="C04"
        )
    try:
        raw = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=once)
        json.dumps(raw, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{file} line {error.lineno}: {error.msg}",
            code="C04",
            hint="JSON allows no comments and no comma after the last entry",
        ) from None
    except (
        ValueError,
        RecursionError,
    ) as error:  # a number of thousands of digits, half a character, or deep nesting
        raise ConfigError(f"{file}: {str(error).splitlines()[0]}", code="C04") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{file} must hold one JSON object, not {type(raw).__name__}", code="C04")
    raw.pop("$schema", None)
    return raw


def _at(text: str, key: str, last: bool = False) -> str:
    lines = [n for n, line in enumerate(text.splitlines(), 1) if re.search(rf'"{re.escape(key)}"\s*:', line)]
    return f" (line {lines[-1 if last else 0]})" if lines else ""


def validate_config(
    raw: Mapping[str, Any], text: str = "", file: str = "config.json"
) -> tuple[Competition, Experiment]:
    """Returns both models from config.json's object. Raises ConfigError, naming each key and its line."""
    known = keys()
    unknown = [key for key in raw if key not in known]
    if unknown:
        cases = [
            Case(f"unknown key{did_you_mean(key, known, CONFIG_KEYS[''])}{_at(text, key)}", key)
            for key in unknown[:MAX_CASES]
        ]
        cases += [Case("unknown key", key) for key in unknown[MAX_CASES:]]
        raise ConfigError(
            f"{file} has {len(unknown)} unknown key{'s' * (len(unknown) > 1)}",
            code="C01",
            cases=cases,
            hint="kit config schema lists all keys",
        )
    models = []
    for model in SECTIONS:
        try:
            models.append(model.model_validate(split(raw, model)))
        except ValidationError as error:
            raise _with_lines(explain_validation_error(error), text, file) from None
    return models[0], models[1]  # type: ignore[return-value]


def read_stored_experiment(config: Mapping[str, Any], whose: str) -> Experiment:
    """Returns the experiment of a config that a run or a checkpoint stored; `whose` names it in errors.

    Raises CheckpointError D53 for a config of another version of kit, with the present names.
    """
    try:
        cases = [
            Case(f"unknown key{did_you_mean(key, keys(), renamed)}", key)
            for renamed in [CONFIG_KEYS[""]]
            for key in config
            if key in renamed
        ]
        if not cases:
            return Experiment.model_validate(split(config, Experiment))
    except ValidationError as error:
        cases = list(explain_validation_error(error).cases)
    except (ValueError, TypeError) as error:
        cases = [Case(str(error))]
    raise CheckpointError(
        f"this version of kit cannot read the config of {whose}",
        code="D53",
        cases=cases,
        hint="use the version of kit that trained it, or train it again",
    )


def _with_lines(error: ConfigError, text: str, file: str) -> ConfigError:
    """Returns the same findings with their lines. An unknown key of a section gets its nearest name."""
    cases = []
    for case in error.cases:
        key = case.path.rsplit(".", 1)[-1]
        detail = case.detail
        if detail.startswith("Extra inputs are not permitted"):
            name = case.path.partition(".")[0]
            known, renamed = _keys_below(case.path), CONFIG_KEYS.get(name)
            detail = f"unknown key{did_you_mean(key, known, renamed)}"
        for old, new in CONFIG_VALUES.get(case.path, {}).items():
            if detail.endswith(f", not {old!r}"):
                detail += f"; did you mean {new!r}?"
        cases.append(Case(detail + _at(text, key), case.path))
    return ConfigError(f"{file}: {error.summary}", code=error.code, cases=cases, hint=error.hint)


def _keys_below(path: str) -> list[str]:
    """Returns the keys of the block at a path; those of inner blocks also with their dotted names."""
    section, *blocks = path.split(".")[:-1]
    model = PARTS.get(section, Data)
    for name in blocks:
        inner = model.model_fields[name].annotation if name in model.model_fields else None
        model = inner if isinstance(inner, type) and issubclass(inner, Strict) else model
    names = list(model.model_fields)
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Strict):
            names += [f"{name}.{inner}" for inner in field.annotation.model_fields]
    return names
