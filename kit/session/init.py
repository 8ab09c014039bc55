"""Init: `kit.init()`, which writes config.json from the files of a folder and opens the competition."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from kit.core.files import StrPath
from kit.session.calls import begin_call
from kit.session.keywords import check_choice
from kit.session.session import Session


def init(
    folder: StrPath = ".",
    *,
    data: StrPath | None = None,
    recipe: Literal["auto", "scratch", "finetune"] = "auto",
    weights: StrPath | None = None,
    network: str | None = None,
    time: str | None = None,
    train: str | None = None,
    join: str | Sequence[str] = (),
    on: str | Sequence[str] = (),
    label_from_name: str | None = None,
    test: str | None = None,
    sample: str | None = None,
    id: str | None = None,  # noqa: A002 - the command's option
    label: str | None = None,
    label_separator: str | None = None,
    target: Literal["classes", "numbers", "shares"] | None = None,
    images: str | None = None,
    test_images: str | None = None,
    answer: str | None = None,
    group: str | None = None,
    classes: str | None = None,
    val: Literal["join", "holdout", "ignore"] = "join",
    metric: str | None = None,
    sep: str | None = None,
    encoding: str | None = None,
    force: bool = False,
    progress: bool = True,
) -> Session:
    """Writes config.json from the files in a competition's folder, as `kit init` does, and opens the competition.

    `data` is the folder of the files, if it is not `folder`; kit only reads it. `join` names tables, and `on`
    the column with the keys of each. It prints what it found.

    Raises ConfigError C20 if the files do not show a setting, C21 if config.json exists.
    """
    from kit.core.durations import parse_duration
    from kit.stages.discovery.described_tables import describe_tables
    from kit.stages.discovery.initialise import initialise

    check_choice("recipe", recipe, ("auto", "scratch", "finetune"))
    check_choice("val", val, ("join", "holdout", "ignore"))
    columns = {
        "train": train,
        "join": join if isinstance(join, str) else ",".join(join) or None,
        "on": on if isinstance(on, str) else ",".join(on) or None,
        "label_from_name": label_from_name,
        "test": test,
        "sample": sample,
        "id": id,
        "label": label,
        "label_separator": label_separator,
        "target": target,
        "images": images,
        "test_images": test_images,
        "answer": answer,
        "group": group,
        "class_list": classes,
        "sep": sep,
        "encoding": encoding,
    }
    with begin_call(progress) as call:
        given = {key: value for key, value in columns.items() if value is not None}
        seconds = None if time is None else parse_duration(time)
        root = Path(folder).resolve()
        result = initialise(root, recipe, given, force, val, metric, weights, network, seconds, data)
        for line in (*result.findings, f"recipe: {result.recipe} ({result.why})"):
            call.say(line)
        for line in describe_tables(root).lines:
            call.say(line)
        call.say(f"wrote {result.path}")
    return Session(root)
