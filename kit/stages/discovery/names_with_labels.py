"""Finds labels in file names, such as `cat.0.jpg` and `dog.1.jpg`, in a folder that no table describes."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from dataclasses import dataclass

from kit.errors import MAX_CASES, ConfigError
from kit.stages.discovery import roles
from kit.stages.discovery.file_scan import Scan

NUMBERED = r"([^/]*[^/\W\d_][^/\d]*?)[._ -]*\d+\.\w+$"  # a text with a letter, then a number
MIN_IMAGES_PER_LABEL = 2
MAX_LABELS_PER_IMAGE = 0.1
MAX_NAMES_PROBED = 20_000


@dataclass(frozen=True)
class NamedLabels:
    """The folder whose file names have labels, the regular expression that finds them, and the finding in words."""

    folder: str
    regex: str
    finding: str


def find_named_labels(seen: Scan, train: str | None, regex: str | None) -> NamedLabels | None:
    """Returns the folder of training images whose names have labels by `regex`, or clearly; None without one.

    `train` is the folder, if it was given. Raises ConfigError C20 if a given regex matches nothing, C02 if it is
    not a regular expression with a group.
    """
    pattern = re.compile(NUMBERED) if regex is None else _compiled(regex)
    folder = train if train is not None else _train_folder(seen)
    if folder is None:
        return None
    names = [
        posixpath.join(inner, name)
        for inner, files in seen.folders.items()
        if not folder or inner == folder or inner.startswith(folder + "/")
        for name in files
    ]
    names = [name.removeprefix(folder).lstrip("/") for name in names]
    probed = names[:: max(len(names) // MAX_NAMES_PROBED, 1)]
    matches = [pattern.search(name) for name in probed]
    labels = Counter(_label(match) for match in matches if match)
    if regex is None and not _is_evident(labels, len(probed)):
        return None
    if not labels:
        raise ConfigError(
            f"--label-from-name: no image in {folder or '.'} matches {regex!r}",
            code="C20",
            cases=probed[:MAX_CASES],
            hint="the regular expression is searched in these paths; its group in parentheses is the label",
        )
    examples = ", ".join(sorted(labels)[:MAX_CASES]) + (", …" if len(labels) > MAX_CASES else "")
    text = f"{folder or '.'}: {len(names):,} images with {len(labels)} labels in their names: {examples}"
    missed = sum(match is None for match in matches)
    text += f"; {missed:,} names do not match" if missed else ""
    return NamedLabels(folder, regex or NUMBERED, text)


def _compiled(regex: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(regex)
    except re.error as error:
        raise ConfigError(f"--label-from-name: not a regular expression: {error}", code="C02") from None
    if not pattern.groups:
        raise ConfigError(
            f"--label-from-name {regex!r} has no group",
            code="C02",
            hint="such as '(cat|dog)': its group is the label",
        )
    return pattern


def _label(match: re.Match[str]) -> str:
    groups = match.groupdict()
    return (
        (groups.get("label") or "/".join(group or "" for group in groups.values()))
        if groups
        else match[1] or ""
    )


def _is_evident(labels: Counter[str], count: int) -> bool:
    """Whether nearly all names have one of a few labels, each with several images."""
    if labels.total() < 0.98 * count or not 2 <= len(labels) <= MAX_LABELS_PER_IMAGE * count:
        return False
    lower = {roles_of for label in labels for roles_of in roles.words(label)}
    return min(labels.values()) >= MIN_IMAGES_PER_LABEL and not lower <= roles.TRAIN | roles.TEST | roles.VAL


def _train_folder(seen: Scan) -> str | None:
    """Returns the folder of images that is called train, else the only one that is not called test."""
    train_folders = [
        folder for folder in seen.folders if roles.words(posixpath.basename(folder)) & roles.TRAIN
    ]
    rest = [folder for folder in seen.folders if not roles.words(folder) & (roles.TEST | roles.VAL)]
    return next((folders[0] for folders in (train_folders, rest) if len(folders) == 1), None)
