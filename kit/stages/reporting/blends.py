"""The sections on views, blends and the board, by the measurements of the other stages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from kit.config.models import Data
from kit.config.workspace import Workspace
from kit.core.files import read_json
from kit.data.predictions import Predictions
from kit.data.table import Table, table_of
from kit.errors import KitError
from kit.evaluation.competition import Scoring, gain_over_plain
from kit.runs.records import Record
from kit.stages.blending.blend import diversity
from kit.stages.blending.diversity import Diversity
from kit.stages.leaderboard.overview import overview
from kit.stages.prediction.suggestions import suggest_views
from kit.stages.reporting.facts import (
    BlendSection,
    BoardSection,
    MemberWeight,
    Missing,
    ReportedDisagreement,
    Submission,
    ViewScores,
)
from kit.stages.reporting.runs import numeric_names
from kit.stages.submission.board import Board, Entry


def view_scores(
    records: Sequence[Record], scoring: Scoring, table: Table, data: Data
) -> tuple[ViewScores, ...] | Missing:
    """Returns each run's sets of views, with the gain over the plain images."""
    views_scores, name = [], scoring.metric.plugin_name()
    for record in records:
        scored = {
            views: numeric_names(scores).get(name)
            for views, scores in record.views.items()
            if views != "plain"
        }
        for views, score in scored.items():
            if score is None:
                continue
            oof = Predictions.read(record.run.predictions(views) / "oof.parquet")
            plain_file = record.run.predictions("plain") / "oof.parquet"
            renamed = table_of(record.run.folder, table, data)
            plain, gain = gain_over_plain(plain_file, oof, scoring, renamed)
            views_scores.append(ViewScores(record.run.name, views, score, plain.get(name), gain))
    if views_scores:
        return tuple(views_scores)
    views = suggest_views(records[0].run) if records else "hflip"
    run = records[0].run.name if records else "first"
    return Missing("no run has predicted by views", f"kit tta --checkpoints runs/{run} --views {views}")


def blend_section(workspace: Workspace, entries: Sequence[Entry]) -> BlendSection | Missing:
    """Returns the best submission of several members whose predictions exist."""
    blends = [entry for entry in entries if len(entry.members.split()) > 1]
    why = Missing("no submission on the board has several members", "kit blend runs/a@hflip runs/b@hflip")
    for entry in blends:
        try:
            members = [f"runs/{member}" for member in entry.members.split()]
            members_diversity = diversity(workspace, members, "mean")
        except KitError as error:
            why = Missing(f"submission {entry.number}: {error.summary}", error.hint)
            continue
        return _describe_blend(workspace, entry, members_diversity)
    return why


def _describe_blend(workspace: Workspace, entry: Entry, measured: Diversity) -> BlendSection:
    weights = weights_of(_recipe(workspace, entry), len(measured.names))
    members = zip(
        measured.names, measured.scores, weights, measured.gains or [None] * len(measured.names), strict=True
    )
    return BlendSection(
        number=entry.number,
        ensembler=entry.ensembler,
        metric=measured.metric,
        cv=entry.cv,
        mean=measured.score,
        rows=measured.rows,
        members=tuple(MemberWeight(*member) for member in members),
        correlation=tuple(map(tuple, measured.correlation.tolist())),
        overlap=tuple(map(tuple, measured.overlap.tolist())),
    )


def _recipe(workspace: Workspace, entry: Entry) -> Mapping[str, Any]:
    try:
        recipe = read_json((workspace.submissions / entry.file).with_suffix(".json"))["ensembler"]
        return recipe if isinstance(recipe, Mapping) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def weights_of(recipe: Mapping[str, Any], members: int) -> list[float | None]:
    """Returns each member's weight, the sum 1, by a recipe or the one within it; equal for a mean, None for others."""
    weights = recipe.get("weights")
    given = (
        [weight for weight in weights if isinstance(weight, int | float)] if isinstance(weights, list) else []
    )
    if len(given) == members and sum(given) > 0:
        return [float(weight) / sum(given) for weight in given]
    if recipe.get("name") in ("mean", "geometric"):
        return [1 / members] * members
    inner = [recipe[key] for key in ("chosen", "base") if isinstance(recipe.get(key), Mapping)]
    weights_of_inner = [weights_of(inner_recipe, members) for inner_recipe in inner]
    return next(
        (inner_recipe for inner_recipe in weights_of_inner if None not in inner_recipe), [None] * members
    )


def _finite_or_none(score: float | None) -> float | None:
    """Returns a finite score, or None, because a board may be edited by hand."""
    return score if score is not None and math.isfinite(score) else None


def board_section(workspace: Workspace, board: Board) -> BoardSection | Missing:
    """Returns the board's submissions of the competition's metric, and how their scores agree."""
    if not board.entries:
        return Missing("nothing has been submitted", "kit blend runs/a@hflip")
    seen = overview(workspace, board)
    return BoardSection(
        submissions=tuple(
            Submission(
                None if board.is_apart(entry) else board.rank_of(entry),
                entry.number,
                entry.name,
                _finite_or_none(entry.cv),
                _finite_or_none(entry.leaderboard),
                entry.members,
                entry.ensembler,
                entry.notes,
                entry.rows,
            )
            for entry in seen.entries
        ),
        scored=seen.agreement.scored,
        correlation=seen.agreement.correlation,
        gap=seen.agreement.gap,
        noise_cv=seen.noise.of_cv if seen.noise else None,
        noise_leaderboard=seen.noise.of_leaderboard if seen.noise else None,
        unknown=seen.unknown,
        doubts=tuple(ReportedDisagreement(doubt.what, doubt.checks) for doubt in seen.agreement.doubts),
    )
