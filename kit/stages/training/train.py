"""train: folds, cache, a fit a fold, and the out-of-fold predictions of the last epoch.

The same start again resumes each fold from its newest checkpoint, or says at once that the run is finished.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext

from kit.config.workspace import Workspace
from kit.core.files import StrPath, remove_stumps
from kit.core.progress import Work, finish
from kit.core.stopping import Stop
from kit.device import ranks
from kit.errors import ConfigError, KitError, StoppedError
from kit.evaluation.competition import check_scoring
from kit.experiment.oof import assemble
from kit.experiment.open_executor import open_executor
from kit.experiment.run_context import Setting, preparing
from kit.runs.run import Run, begin, check_same, find_run, identity, is_finished, wanted_folds
from kit.stages.training.fold import training_fold
from kit.stages.training.parallel import fanning, locked_fold


def train(
    workspace: Workspace | StrPath = ".", overrides: str | Sequence[str] = (), name: str | None = None,
    folds: Sequence[int] | None = None, config: StrPath | None = None,
) -> Run:  # fmt: skip
    """Trains a run, or the given folds of it, to its end, and returns it.

    `workspace` is a Workspace or the path of one; `overrides` such as `epochs=20` change either's config.
    `config` is read in config.json's place: runs/x/config.json trains what x was, to the same bits on a CPU.

    Raises KitError as the command does: ConfigError, PluginError, DataError, BusyError, RunError.
    """
    space = Workspace.of(workspace, overrides, config)
    check_scoring(space)
    return finish(training(space, name, folds))


def training(
    workspace: Workspace,
    name: str | None = None,
    folds: Sequence[int] | None = None,
    stop: Stop | None = None,
) -> Work[Run]:
    """train, with its progress; where `stop` is asked to, it saves after the step and raises StoppedError R05."""
    if workspace.experiment.executor is not None:
        (came,) = yield from training_runs([(workspace, name)], folds, stop)
        if isinstance(came, KitError):
            raise came
        return came
    run = find_run(workspace, name)
    ranks.by_first(lambda: check_same(run, workspace.experiment))
    if ranks.by_first(lambda: is_finished(run, folds)):
        return run
    with ExitStack() as locks:
        ranks.by_first(lambda: locks.enter_context(run.locked()) and None)
        setting, wanted = yield from _begun(workspace, run, folds)
        for position, fold in enumerate(wanted):
            asked = ranks.agreed(0 if stop is None else stop.asked)
            if asked:
                text = f"stopped before fold {fold}, all others are saved"
                raise ranks.everyones(StoppedError(text, asked))
            with locked_fold(run, fold) if ranks.is_first() else nullcontext():
                yield from training_fold(setting, fold, position, len(wanted), stop or Stop())
        ranks.by_first(lambda: setting.trackers.pooled(setting, assemble(setting)))
    return run


def _check_alone() -> None:
    """Raises ConfigError C35 where several ranks would each give out folds."""
    if ranks.count() > 1:
        raise ConfigError(
            "an executor gives folds to workers, and ranks share each fold", code="C35",
            hint="--devices without --executor, or the other way round",
        )  # fmt: skip


def training_runs(
    asked: Sequence[tuple[Workspace, str | None]],
    folds: Sequence[int] | None = None,
    stop: Stop | None = None,
) -> Work[list[Run | KitError]]:
    """Trains several runs, workspaces with names, by the first one's executor, with progress: all open folds at once.

    A run that fails, or another process's, is its error, and the others go on. Raises what `training` raises of stops.
    """
    _check_alone()
    executor = open_executor(asked[0][0], asked[0][0].experiment.device)
    came: dict[int, Run | KitError] = {}
    begun: dict[int, tuple[Setting, list[int]]] = {}
    with ExitStack() as locks:
        for place, (space, name) in enumerate(asked):
            try:
                run = find_run(space, name)
                check_same(run, space.experiment)
                if is_finished(run, folds):
                    came[place] = run
                    continue
                locks.enter_context(run.locked())
                begun[place] = yield from _begun(space, run, folds)
            except KitError as error:
                came[place] = error
        came |= yield from fanning(executor, begun, stop or Stop())
    return [came[place] for place in range(len(asked))]


def _begun(workspace: Workspace, run: Run, folds: Sequence[int] | None) -> Work[tuple[Setting, list[int]]]:
    """A run's setting and the folds that are wanted of it, once its folder says what it is."""
    if ranks.is_first():
        remove_stumps(run.folder)
    setting = yield from preparing(workspace, run)
    asked = identity(workspace.experiment)
    ranks.by_first(lambda: begin(run, asked, setting.resolved(), setting.made_from()))
    ranks.by_first(lambda: setting.folds.write(run.folder / "folds.csv"))
    wanted = wanted_folds(setting.folds, folds)
    for fold in wanted:
        setting.start_of(fold)
        setting.taught_rows(fold)
    return setting, wanted
