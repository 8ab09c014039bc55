"""soup: averages the same fold's weights over several runs, as a run with ordinary checkpoints.

The rows of a fold never influence the model that predicts them: the runs of a fold's greedy soup are chosen
only on the other folds' rows.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import StrPath, remove_partial_files
from kit.core.progress import Progress, Work, finish, stage
from kit.data.predictions import Predictions, Provenance, concat_predictions
from kit.device.torch_internals import AnyBatchNorm
from kit.engine.fit import update_batch_norm
from kit.errors import Case, CheckpointError, ConfigError, InvalidError, KitWarning
from kit.experiment.fold_training import plan_of, train_stages
from kit.experiment.loading import RunCheckpoints, find_targets
from kit.experiment.prediction_file import assemble, check_config, experiment_of_request
from kit.experiment.run_context import RunContext, prepare_run
from kit.model import checkpoints, network
from kit.model.checkpoints import Checkpoint
from kit.runs.run import Run, find_run
from kit.stages.training.fold_results import predict_held_out, save_checkpoint, write_held_out

if TYPE_CHECKING:
    import pandas as pd

SHARED_KEYS = (  # keys of the resolved config that a soup's runs share: the network, and its input
    "backbone",
    "pooling",
    "head",
    "image_size",
    "cache_size",
    "resize",
    "center_crop",
    "split_seed",
    "splitter",
)


@dataclass(frozen=True, repr=False)
class SoupResult(Displayed):
    """The runs of each fold's soup, and its out-of-fold scores beside theirs."""

    run: Run
    ingredients: dict[int, tuple[str, ...]]
    scores: dict[str, float]
    members: dict[str, dict[str, float]]
    is_worse: bool  # than its best run, by the metric

    @property
    def member(self) -> str:
        """The new run, as commands name it."""
        return f"runs/{self.run.name}"

    def describe(self) -> list[str]:
        """Returns the scores of the runs and of the soup, in lines, and a warning if the soup is worse than
        its best run.
        """
        lines = []
        for name, scores in {**self.members, self.run.name: self.scores}.items():
            lines.append(f"{name}: " + "  ".join(f"{key} {value:.4f}" for key, value in scores.items()))
        if self.is_worse:
            lines.append(
                "the soup is worse than its best run: averaging rarely works for runs with different initial "
                "weights; kit blend averages predictions instead"
            )
        return lines

    def _lines(self) -> list[str]:
        return [f"{self.member}: mean of the weights of {len(self.members)} runs", *reversed(self.describe())]

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per run and one for the soup: the folds that use the run, and its scores."""
        rows: list[dict[str, Any]] = []
        for name, scores in self.members.items():
            folds = [str(fold) for fold, names in self.ingredients.items() if name in names]
            rows.append({"run": name, "folds": " ".join(folds), **scores})
        return frame([*rows, {"run": self.run.name, "folds": "", **self.scores}])


@stage
def make_soup(
    workspace: Workspace | StrPath, paths: StrPath | Sequence[StrPath], name: str, greedy: bool = False
) -> Work[SoupResult]:
    """Averages runs' weights, fold by fold, as the run `name`, and measures batch norm's statistics again.

    The statistics of parts that all runs froze stay. Raises ConfigError C15 for paths that are not finished
    runs, C16 for runs that cannot be averaged, CheckpointError D53 for weights of other shapes, InvalidError
    D42 and D43 for other classes and folds.

    Source: Wortsman et al. 2022, "Model soups: averaging weights of multiple fine-tuned models", recipe 1.
    Here its greedy choice is made on other folds than the predicted one.
    """
    workspace = Workspace.of(workspace)
    targets = find_targets(workspace, paths)
    folds = _read_folds(targets, greedy)
    shared = experiment_of_request(next(iter(folds[0].checkpoints.values())).provenance).model_dump(
        mode="json"
    )
    space = replace(workspace, raw={**workspace.raw, **shared, "tracker": None})
    run, request = find_run(space, name), {"soup": [target.run.name for target in targets], "greedy": greedy}
    with run.lock():
        remove_partial_files(run.folder)
        check_config(run, request, "soup")
        setting = yield from prepare_run(space, run, like=targets[0].run)
        context = _SoupContext(setting, folds)
        for fold_weights in folds:
            fold_weights.check(setting)
        setting.begin(request)
        chosen = yield from _choose_ingredients(context, greedy)
        yield from _write_run(context, chosen)
        whole = assemble(setting)
    return _describe_soup(setting, whole, chosen, targets)


@dataclass(frozen=True)
class FoldWeights:
    """One fold: the checkpoint of each run, by its name."""

    fold: int
    checkpoints: dict[str, Checkpoint]

    def mean(self, runs: Sequence[str]) -> dict[str, Tensor]:
        """Returns the mean of some runs' weights; integer buffers are the first one's."""
        weights_of_runs = [self.checkpoints[name].prediction_weights for name in runs]
        return {
            key: torch.stack([weights[key].double() for weights in weights_of_runs]).mean(0).to(first.dtype)
            if first.is_floating_point()
            else first
            for key, first in weights_of_runs[0].items()
        }

    def still_norms(self, network: nn.Module, runs: Sequence[str]) -> frozenset[str]:
        """Returns the names of the batch norms with the same statistics in all of some runs: those in frozen parts."""
        first, *others = [self.checkpoints[name].prediction_weights for name in runs]
        norms = [name for name, module in network.named_modules() if isinstance(module, AnyBatchNorm)]
        return frozenset(
            name
            for name in norms
            if all(
                torch.equal(first[key], other[key])
                for key in (f"{name}.running_mean", f"{name}.running_var")
                for other in others
            )
        )

    def check(self, setting: RunContext) -> None:
        """Raises the reason if weights, classes, folds or settings of the runs do not allow an average."""
        (first, one), *others = self.checkpoints.items()
        if one.provenance.classes != setting.loaded.table.classes:
            raise InvalidError(f"{first} was trained for other classes than those in the table", code="D42")
        if one.provenance.folds != setting.folds.fingerprint():
            raise InvalidError(f"{first} was trained on other folds than those of the table", code="D43")
        for name, other in others:
            _check_pair(first, one, name, other)


def _check_pair(first: str, one: Checkpoint, name: str, other: Checkpoint) -> None:
    if one.provenance.folds != other.provenance.folds:
        raise InvalidError(
            f"{first} and {name} have different folds: their average would predict rows that it was "
            "trained on",
            code="D43",
            hint="train both with the same split_seed, splitter and data.group",
        )
    if one.provenance.classes != other.provenance.classes:
        cases = [
            Case(", ".join(checkpoint.provenance.classes[:8]), run)
            for run, checkpoint in ((first, one), (name, other))
        ]
        raise InvalidError(f"{first} and {name} have different classes", code="D42", cases=cases)
    mine, theirs = one.provenance.require_config(), other.provenance.require_config()
    cases = [
        Case(f"{mine[key]!r} in {first}, {theirs[key]!r} in {name}", key)
        for key in SHARED_KEYS
        if _bare(mine[key]) != _bare(theirs[key])
    ]
    # configs of versions without side columns lack the key
    fusions = [(checkpoint.get("columns") or {}).get("name") for checkpoint in (mine, theirs)]
    if (fusions[0], one.provenance.columns) != (fusions[1], other.provenance.columns):
        cases.append(
            Case(f"{fusions[0]!r} in {first}, {fusions[1]!r} in {name}, or of other values", "columns")
        )
    bags = [checkpoint.get("instances") for checkpoint in (mine, theirs)]
    if bags[0] != bags[1]:
        cases.append(Case(f"{bags[0]!r} in {first}, {bags[1]!r} in {name}", "instances"))
    if cases:
        raise ConfigError(f"{first} and {name} cannot be averaged", code="C16", cases=cases)
    shapes = {key: value.shape for key, value in one.prediction_weights.items()}
    wrong = sorted(
        {key for key, value in other.prediction_weights.items() if shapes.pop(key, None) != value.shape}
        | {*shapes}
    )
    if wrong:
        raise CheckpointError(f"{first} and {name} differ in {len(wrong)} weights", code="D53", cases=wrong)


def _bare(spec: Any) -> Any:
    """Returns a plugin's options without those of its initial weights, which the checkpoints have replaced."""
    return (
        {k: v for k, v in spec.items() if k not in ("pretrained", "weights")}
        if isinstance(spec, dict)
        else spec
    )


def _read_folds(targets: Sequence[RunCheckpoints], greedy: bool) -> list[FoldWeights]:
    """Returns the folds that all runs have finished, with their checkpoints."""
    if len({target.run.folder for target in targets}) < 2:
        raise ConfigError(
            "a soup needs at least two runs", code="C15", hint="kit train --seeds 0,1,2 trains three"
        )
    shared = sorted(set.intersection(*(set(target.folds) for target in targets)))
    lacking = [t.run.name for t in targets if set(t.folds) != set(shared)]
    if not shared or (greedy and len(shared) < 2):
        text = (
            "no fold is finished in all runs"
            if not shared
            else "only one fold, so a greedy soup would choose and score on the same rows"
        )
        raise ConfigError(
            f"the runs share {text}", code="C16", hint="without --greedy, or splitter.folds=2 or more"
        )
    if lacking:
        text = (
            f"W13 soup only for folds {', '.join(map(str, shared))}, because other folds are not "
            f"finished in all runs: {', '.join(lacking)} have more"
        )
        warnings.warn(KitWarning(text), stacklevel=4)
    return [
        FoldWeights(fold, {t.run.name: checkpoints.load(t.folds[fold]) for t in targets}) for fold in shared
    ]


@dataclass(frozen=True)
class _SoupContext:
    """The shared context, the folds, and every soup that was scored already."""

    setting: RunContext
    folds: list[FoldWeights]
    scores: dict[tuple[int, frozenset[str]], Predictions] = field(default_factory=dict)

    @cached_property
    def names(self) -> list[str]:
        """The runs."""
        return list(self.folds[0].checkpoints)

    def average(self, fold_weights: FoldWeights, runs: Sequence[str]) -> nn.Module:
        """Returns the network of the mean weights, with batch norm's statistics measured again over the
        fold's training rows.
        """
        setting = self.setting
        parts = setting.parts_of(fold_weights.fold).without_pretrained()
        built = network.build(parts, len(setting.loaded.table.classes), setting.experiment.image_size)
        built.load_state_dict(fold_weights.mean(runs))
        averaged = setting.precision.to_device(built.eval(), setting.device)
        if len(runs) > 1:
            stage = train_stages(setting, fold_weights.fold)[-1]
            try:
                update_batch_norm(
                    averaged,
                    stage.batches,
                    plan_of(setting, fold_weights.fold),
                    setting.precision,
                    0,
                    still_modules=fold_weights.still_norms(averaged, runs),
                )
            finally:
                stage.batches.close()
        return averaged

    def score_of(self, fold_weights: FoldWeights, runs: Sequence[str]) -> Predictions:
        """Returns the soup's predictions of the fold's held-out rows."""
        key = (fold_weights.fold, frozenset(runs))
        if key not in self.scores:
            self.scores[key] = finish(
                predict_held_out(self.setting, fold_weights.fold, self.average(fold_weights, runs))
            )
        return self.scores[key]

    def score(self, runs: Sequence[str], without: int) -> float:
        """Returns the metric of a soup on all held-out rows except those of one fold; higher is better."""
        predictions = concat_predictions(
            [
                self.score_of(fold_weights, runs)
                for fold_weights in self.folds
                if fold_weights.fold != without
            ],
            Provenance(),
        )
        metric, rows, probabilities = self.setting.scoring.bind(predictions, self.setting.loaded.table)
        value = metric.score(rows.targets(), probabilities)
        return value if metric.higher_is_better else -value


def _choose_ingredients(context: _SoupContext, greedy: bool) -> Work[dict[int, tuple[str, ...]]]:
    """Returns the runs of each fold's soup: all of them, or those that improve the score on the other folds' rows."""
    ingredients = {}
    for number, fold_weights in enumerate(context.folds):
        ingredients[fold_weights.fold] = (
            tuple(context.names) if not greedy else greedy_soup(context, fold_weights.fold)
        )
        if greedy:
            text = f"fold {fold_weights.fold}: {', '.join(ingredients[fold_weights.fold])}"
            yield Progress("choose", number + 1, len(context.folds), text, line=True)
    return ingredients


def greedy_soup(context: _SoupContext, without: int) -> tuple[str, ...]:
    """Returns runs from the best down, each added if the soup does not get worse with it, on the rows of the
    other folds.
    """
    alone = {name: context.score([name], without) for name in context.names}
    order = sorted(context.names, key=lambda name: -alone[name])
    ingredients, best = [order[0]], alone[order[0]]
    for name in order[1:]:
        score = context.score([*ingredients, name], without)
        if score >= best:
            ingredients, best = [*ingredients, name], score
    return tuple(ingredients)


def _write_run(context: _SoupContext, chosen: dict[int, tuple[str, ...]]) -> Work[None]:
    """Writes each fold's checkpoint and out-of-fold predictions, if they are missing."""
    setting, of = context.setting, len(context.folds)
    for number, fold_weights in enumerate(context.folds):
        yield Progress("soup", number, of, f"fold {fold_weights.fold}")
        if setting.run.fold_predictions_file(fold_weights.fold).is_file():
            continue
        averaged = context.average(fold_weights, chosen[fold_weights.fold])
        runs = chosen[fold_weights.fold]
        path = save_checkpoint(setting, fold_weights.fold, 1, averaged.state_dict(), None, {}, runs)
        held_out = finish(predict_held_out(setting, fold_weights.fold, averaged))
        write_held_out(setting, fold_weights.fold, held_out, path)


def _describe_soup(
    setting: RunContext,
    whole: Predictions,
    chosen: dict[int, tuple[str, ...]],
    targets: Sequence[RunCheckpoints],
) -> SoupResult:
    members = {}
    for target in targets:
        oof = Predictions.read(target.run.predictions("plain") / "oof.parquet")
        members[target.run.name] = dict(oof.provenance.require_scores())
    name, sign = setting.metric.plugin_name(), 1 if setting.metric.higher_is_better else -1
    mine = whole.provenance.require_scores()
    best = max((sign * scores[name] for scores in members.values() if name in scores), default=-math.inf)
    return SoupResult(setting.run, chosen, dict(mine), members, name in mine and sign * mine[name] < best)
