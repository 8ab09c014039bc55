"""Advice: overrides that answer a finding or an error, without those that are set already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kit.classes import LabelKind
from kit.kinds import Splitter

# splitters that hold groups out whole where data.group declares them
KEEP_GROUPS = frozenset(
    {"group_kfold", "stratified_group_kfold", "multilabel_stratified_kfold", "holdout", "time"}
)
FILES_OF_GROUPS = {"auto": "groups.csv", "scene": "scenes.csv"}


def stratified(labels: LabelKind, grouped: bool) -> str:
    """The splitter that keeps the classes' shares, for labels of this kind; with `grouped` it keeps groups whole."""
    if labels == "multi_hot":
        return "multilabel_stratified_kfold"
    return "stratified_group_kfold" if grouped else "stratified_kfold"


def innermost(splitter: Splitter) -> tuple[str, Splitter]:
    """The splitter that makes the folds, and its key: of `repeated` it is `splitter.base`."""
    base = getattr(splitter, "base", None)
    return ("splitter.base", base) if isinstance(base, Splitter) else ("splitter", splitter)


def keep_whole(group: str, asked: str | None, splitter: Splitter, labels: LabelKind) -> str:
    """What makes rows of equal `group` share a fold, where data.group is `asked`; blank if all of it is set."""
    key, inner = innermost(splitter)
    parts = [] if asked == group else [f"data.group={group}"]
    if inner.plugin_name() not in KEEP_GROUPS:
        parts.append(f"{key}={stratified(labels, grouped=True)}")
    return " ".join(parts)


def weigh_rare(sampler: Mapping[str, Any], loss: Mapping[str, Any], labels: LabelKind) -> str:
    """Overrides by which rare classes count more, in addition to the sampler and loss that are set."""
    found = []
    if sampler["name"] == "shuffled":
        found.append("sampler=repeat_factor" if labels == "multi_hot" else "sampler=balanced")
    names = list(_names(loss))
    if labels == "multi_hot":
        found += [] if "asymmetric" in names else ["loss=asymmetric"]
    elif "class_weighted" not in names:
        mixes = names[0] in ("cutmix", "mixup", "cutmix_or_mixup")  # a mixture is the outermost loss
        key, inner = ("loss.base", names[1:]) if mixes else ("loss", names)
        keep = f" {key}.base={inner[0]}" if inner and inner[0] != "cross_entropy" else ""
        found.append(f"{key}=class_weighted{keep}")
    if not found:
        return f"nothing more: sampler {sampler['name']!r} and loss {names[0]!r} favour rare classes already"
    return ", or ".join(found)


def _names(spec: Any) -> Iterator[str]:
    """The names of a spec and of what is nested in it as its base, the outermost first."""
    while isinstance(spec, Mapping) and "name" in spec:
        yield spec["name"]
        spec = spec.get("base")
        spec = {"name": spec} if isinstance(spec, str) else spec
