"""Unscored blends: a submission of members without folds, by weights that are given and not fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import StrPath
from kit.data.table import sample_frame
from kit.errors import ConfigError
from kit.evaluation.competition import bind_rows, open_aggregator, open_ensembler
from kit.experiment import sample_format
from kit.stages.blending.compatibility import check_together
from kit.stages.blending.members import (
    blend_test_rows,
    describe_blend,
    labels,
    read_members,
    read_test_rows,
    with_current_names,
)
from kit.stages.submission.board import Board, enter_submission

if TYPE_CHECKING:
    import pandas as pd

NOTE = "no score: members without folds"


@dataclass(frozen=True, kw_only=True, repr=False)
class UnscoredSubmission(Displayed):
    """A submission whose blend has no score, because kit does not know the folds of the members `unverified`."""

    number: int
    path: Path
    record: Path
    format: str
    test_rows: int
    ensembler: Mapping[str, Any]
    members: tuple[str, ...]
    unverified: tuple[str, ...]
    is_new: bool  # False: the same blend was made before, and this is its submission

    def describe(self) -> list[str]:
        """Returns what was written, and why it has no score, in lines."""
        before = "" if self.is_new else ", as before"
        return [
            f"submission {self.number}: {self.test_rows} rows, format {self.format}{before}",
            f"no score: {', '.join(self.unverified)} came without folds, so kit cannot cross-validate the blend",
        ]

    def _lines(self) -> list[str]:
        return self.describe()

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per member, and whether kit knows its folds."""
        return frame([{"member": name, "has_folds": name not in self.unverified} for name in self.members])


def submit_unscored(
    workspace: Workspace,
    members: StrPath | Sequence[StrPath],
    spec: Any,
    name: str | None,
    top_k: int | None,
) -> UnscoredSubmission:
    """Blends test rows of members of which some have no folds, and enters the submission without a score.

    Raises ConfigError C80 for an ensembler that is fitted on out-of-fold rows, and what `blend` raises.
    """
    Board.read(workspace.submissions)  # an unreadable one stops the blend before it writes
    read = read_members(workspace, members, allow_unverified=True)
    table = labels(workspace)
    read = with_current_names(workspace, read, table)
    recipe, metric = open_ensembler(workspace, spec, table.by_answer)
    unverified = tuple(str(member) for member in read if not member.is_verified)
    if recipe.needs_fit():
        weights = ",".join("1" * len(read))
        raise ConfigError(
            f"ensembler {recipe.plugin_name()!r} is fitted on out-of-fold rows, and {unverified[0]} has none",
            code="C80",
            hint=f"ensembler=mean, or ensembler=weighted ensembler.weights=[{weights}]",
        )
    check_together(read, table)
    if table.answers is not None:
        aggregator = open_aggregator(workspace, table, metric)
        if aggregator.needs_fit():
            raise ConfigError(
                f"aggregator {aggregator.plugin_name()!r} has an option that is fitted on out-of-fold rows, and "
                f"{unverified[0]} has none",
                code="C80",
                hint="aggregator=mean, or set the option",
            )
        read = tuple(replace(member, aggregator=aggregator) for member in read)
    sample = sample_frame(workspace.root, workspace.competition.data)
    shape = sample_format.choose_format(workspace, sample, read[0].test.classes, top_k, table.label_kind)
    shape = shape.with_known(decision=metric.decision)
    wanted = list(dict.fromkeys(shape.ids(sample, read[0].test.classes)))
    images = read_test_rows(workspace, read[0].test.classes, recipe)
    test = blend_test_rows(read, bind_rows(recipe, table.by_answer), wanted, images)
    record = {
        **describe_blend(workspace, read, test, recipe, recipe, shape, metric),
        "unverified": list(unverified),
        "decision": metric.decision.spec() if table.is_multi_label else None,
        "rows": 0,
    }
    submission_name = name or f"{recipe.plugin_name()}-{'-'.join(member.run for member in read)}"
    written, _, _ = enter_submission(
        workspace, submission_name, sample_format.make_table(test, sample, shape), record, metric, None, NOTE
    )
    return UnscoredSubmission(
        number=written.number,
        path=written.path,
        record=written.record,
        format=shape.plugin_name(),
        test_rows=len(test),
        ensembler=recipe.spec(),
        members=tuple(map(str, read)),
        unverified=unverified,
        is_new=written.is_new,
    )
