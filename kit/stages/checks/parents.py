"""Parents: finds parents of the classes that no loss and no metric uses."""

from __future__ import annotations

from collections.abc import Iterator

from kit.config.workspace import Workspace
from kit.data.table import Table
from kit.kinds import Loss, Metric
from kit.kinds.plugin import Plugin
from kit.stages.checks.finding import Finding


def check_parents_used(workspace: Workspace, train: Table) -> Iterator[Finding]:
    """Yields K52 for `data.parents` that neither a loss of the experiment nor the metric uses."""
    if not train.class_levels:
        return
    metric = Metric.open(workspace.competition.metric, workspace.root, where="metric")
    losses = [part.open(Loss, workspace.root) for _, part in workspace.experiment.plan()]
    if "levels" in metric.all_wants() or any(map(_uses_levels, losses)):
        return
    names = [level.name for level in train.class_levels]
    yield Finding(
        "K52",
        "note",
        f"nothing uses the parents of the classes ({', '.join(names)})",
        "rows of rare classes could learn from other classes of the same parent, but the loss ignores the parents",
        f"loss=levels loss.base={losses[-1].plugin_name()}, or metric=level if the competition scores parents; "
        "nothing, if you do not want them",
    )


def _uses_levels(plugin: Plugin) -> bool:
    return "levels" in type(plugin).model_fields or any(map(_uses_levels, plugin.inner_plugins()))
