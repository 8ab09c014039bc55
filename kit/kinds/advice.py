"""Advice: overrides that fix a finding or an error, without those that are already set."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.errors import KitError
from kit.kinds.base_classes import KINDS
from kit.kinds.data import Splitter
from kit.kinds.targets import LabelKind

if TYPE_CHECKING:
    from kit.data.predictions import Provenance

# splitters that hold groups out whole if data.group declares them
KEEP_GROUPS = frozenset(
    {"group_kfold", "stratified_group_kfold", "multilabel_stratified_kfold", "holdout", "time"}
)


def choose_stratified_splitter(labels: LabelKind, grouped: bool) -> str:
    """Returns the stratified splitter for labels of this kind; if `grouped` is true, one that keeps groups whole."""
    if labels in ("multi_hot", "several"):
        return "multilabel_stratified_kfold"
    return "stratified_group_kfold" if grouped else "stratified_kfold"


def innermost(splitter: Splitter) -> tuple[str, Splitter]:
    """Returns the splitter that makes the folds, and its key. For `repeated` the key is `splitter.base`."""
    base = getattr(splitter, "base", None)
    return ("splitter.base", base) if isinstance(base, Splitter) else ("splitter", splitter)


def keep_whole(group: str, given_group: str | None, splitter: Splitter, labels: LabelKind) -> str:
    """Returns overrides that put rows of equal `group` into one fold; empty if they are already set.

    `given_group` is the present data.group.
    """
    key, inner = innermost(splitter)
    parts = [] if given_group == group else [f"data.group={group}"]
    if inner.plugin_name() not in KEEP_GROUPS:
        parts.append(f"{key}={choose_stratified_splitter(labels, grouped=True)}")
    return " ".join(parts)


def weigh_rare(sampler: Mapping[str, Any], loss: Mapping[str, Any], labels: LabelKind) -> str:
    """Returns overrides that give rare classes more weight, in addition to the sampler and loss that are set."""
    remedies = []
    if sampler["name"] == "shuffled":
        remedies.append("sampler=repeat_factor" if labels == "multi_hot" else "sampler=balanced")
    names = list(_names(loss))
    if labels == "multi_hot":
        remedies += [] if "asymmetric" in names else ["loss=asymmetric"]
    elif "class_weighted" not in names:
        mixes = names[0] in ("cutmix", "mixup", "cutmix_or_mixup")  # a mixture is the outermost loss
        key, inner = ("loss.base", names[1:]) if mixes else ("loss", names)
        keep = f" {key}.base={inner[0]}" if inner and inner[0] != "cross_entropy" else ""
        remedies.append(f"{key}=class_weighted{keep}")
    if not remedies:
        return f"nothing: sampler {sampler['name']!r} and loss {names[0]!r} already favour rare classes"
    return ", or ".join(remedies)


def _names(spec: Any) -> Iterator[str]:
    """Yields the name of a spec and of each spec nested in it as its base, the outermost first."""
    while isinstance(spec, Mapping) and "name" in spec:
        yield spec["name"]
        spec = spec.get("base")
        spec = {"name": spec} if isinstance(spec, str) else spec


def predict_command(
    run: str,
    views: str,
    root: Path | None = None,
    provenance: Provenance | None = None,
    command: str = "tta",
) -> str:
    """Returns the command that makes a run's predictions by views of this name, or where to look for it.

    `provenance` is that of predictions of this name. Without it the name must be one that --views takes.
    `command` is tta or embed.
    """
    if provenance is not None and provenance.retrieval is not None:
        return f"run kit retrieve runs/{run} again, with the scorer and rerankers of {views}"
    policy = None if provenance is None else provenance.policy
    plain = re.sub(r"-\d{4}(-\d+)?$", "", views)
    adapted = None if provenance is None else provenance.bn_adapt
    base = plain if adapted is None else plain.removesuffix(f"-bn{adapted}")
    known = None if provenance is None else policy.views if policy is not None else provenance.spec
    spec = known or base.removesuffix("-geometric")
    text = _as_option("views", spec, root)
    if not text:
        return f"kit plugins views lists all views, and kit runs show {run} those of this run"
    paths = [f"runs/{run}"]
    if plain != views and provenance is not None and provenance.checkpoints:  # of an earlier epoch
        tags = {fold: str(tag).partition(":")[0] for fold, tag in provenance.checkpoints.items()}
        paths = [f"runs/{run}/fold-{fold}/{tag}" for fold, tag in tags.items()]
    parts_of_command = [f"kit {command} --checkpoints {' '.join(paths)} --views {text}"]
    if command == "tta" and base.endswith("-geometric"):
        parts_of_command.append("--merge geometric")
    if command == "tta" and adapted is not None:
        parts_of_command.append(f"--bn-adapt {adapted}")
    if policy is not None:
        parts_of_command.append(f"--choose-views {_as_option('ensembler', policy.recipe['name'], root)}")
    return " ".join(parts_of_command)


def _as_option(kind: str, spec: Any, root: Path | None) -> str:
    """Returns a plugin's name, or its JSON if its options are not the defaults; empty if the plugin does not exist."""
    try:
        plugin = KINDS[kind].open(spec, root)
    except KitError:
        return ""
    name = plugin.plugin_name()
    return name if plugin == type(plugin)() else shlex.quote(json.dumps(plugin.spec()))


def calmer(clip_grad_norm: float | None, precision: str) -> str:
    """Returns overrides that keep a loss finite, without those that are set: gradient clipping, float32."""
    parts = ["a lower optimizer.lr"]
    if clip_grad_norm is None or clip_grad_norm > 1:
        parts.append("clip_grad_norm=1")
    if precision != "float32":
        parts.append("precision=float32")
    return f"{', or '.join(parts)}, under another --name"
