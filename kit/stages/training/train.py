"""train: makes the folds, fills the cache, fits each fold, and writes the out-of-fold predictions of the last epoch.

The same start again resumes each fold from its newest checkpoint, or returns at once if the run is finished.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from kit.config.models import Experiment
from kit.config.workspace import Workspace
from kit.core.files import StrPath, remove_partial_files
from kit.core.progress import Work, stage
from kit.core.stopping import TIME_OVER_TEXT, Stop
from kit.device.ranks import ALONE, Ranks
from kit.errors import TIME_OVER, ConfigError, KitError, StoppedError
from kit.evaluation.competition import check_scoring
from kit.experiment.prediction_file import assemble
from kit.experiment.run_context import RunContext, prepare_run
from kit.experiment.techniques import open_executor
from kit.kinds.network import EMBEDDINGS
from kit.runs.run import (
    Run,
    check_same_experiment,
    config_identity,
    find_run,
    is_finished,
    select_folds,
)
from kit.stages.training.fold import lock_fold, run_fold
from kit.stages.training.parallel import BegunRun, train_in_parallel
from kit.stages.training.pausing import cut_to_share, has_finished_folds
from kit.stages.training.remaining import describe_remaining


def train(
    workspace: Workspace | StrPath = ".",
    overrides: str | Sequence[str] = (),
    name: str | None = None,
    folds: Sequence[int] | None = None,
    config: StrPath | None = None,
    time: str | None = None,
) -> Run:
    """Trains a run, or the given folds of it, to its end, and returns it.

    `workspace` is a Workspace or the path of one; `overrides` such as `epochs=20` change either's config.
    `config` is read in place of config.json: runs/x/config.json trains the experiment of x, bit-identical on
    a CPU. After a `time` such as `8h30m` it stops, saved; the same call resumes.

    Raises KitError as the command does: ConfigError, PluginError, DataError, BusyError, RunError, and
    StoppedError R27 if the time is over.
    """
    stop = Stop.after(time)
    space = Workspace.of(workspace, overrides, config)
    check_scoring(space)
    return train_run(space, name, folds, stop)


@stage
def train_run(
    workspace: Workspace | StrPath,
    name: str | None = None,
    folds: Sequence[int] | None = None,
    stop: Stop | None = None,
    ranks: Ranks = ALONE,
    share: float | None = None,
) -> Work[Run]:
    """Trains the run of a workspace's config.

    If `stop` is requested, it saves after the step and raises StoppedError: R05, or R27 at the deadline. With a `share`
    of its budget, all epochs of all folds one after another, it pauses there, saved; a later call continues.
    """
    workspace = Workspace.of(workspace)
    if trains_on_features(workspace.experiment):
        return (yield from _train_on_features(workspace, name, folds, stop or Stop(), ranks, share))
    if workspace.experiment.executor is not None:
        (outcome,) = yield from train_runs([(workspace, name)], folds, stop, ranks, share)
        if isinstance(outcome, KitError):
            raise outcome
        return outcome
    run = find_run(workspace, name)
    ranks.on_rank_zero(partial(check_same_experiment, run, workspace.experiment))
    if ranks.on_rank_zero(partial(is_finished, run, folds)):
        return run
    stop = stop or Stop()
    with ranks.enter_on_rank_zero(run.lock), _with_remaining(run, workspace, folds):
        setting, wanted = yield from stop.cut(
            _start_run(workspace, run, folds, ranks), lambda: _too_short(run)
        )
        wanted, until = (wanted, None) if share is None else cut_to_share(setting, wanted, share)
        yield setting.device_line()
        for position, fold in enumerate(wanted):
            signal = ranks.all_reduce_max(stop.requested)
            if signal:
                why = f"{TIME_OVER_TEXT}: " if signal == TIME_OVER else ""
                text = f"{why}stopped before fold {fold}; the finished folds are saved"
                raise ranks.raise_everywhere(StoppedError(text, signal))
            with ranks.enter_on_rank_zero(partial(lock_fold, run, fold)):
                last = until if fold == wanted[-1] else None
                yield from run_fold(setting, fold, position, len(wanted), stop, last)
        if share is None or has_finished_folds(setting):
            ranks.on_rank_zero(partial(_pool_folds, setting))
    return run


def trains_on_features(experiment: Experiment) -> bool:
    """Whether rows are cached embeddings in place of images."""
    return bool(experiment.backbone["name"] == EMBEDDINGS)


def _train_on_features(
    workspace: Workspace,
    name: str | None,
    folds: Sequence[int] | None,
    stop: Stop,
    ranks: Ranks,
    share: float | None = None,
) -> Work[Run]:
    """Trains a run on cached embeddings, in this process. A `share` ends after a whole fold."""
    from kit.stages.training.on_features import train_on_features

    run = find_run(workspace, name)
    check_same_experiment(run, workspace.experiment)
    if is_finished(run, folds):
        return run
    with run.lock():
        return (yield from train_on_features(workspace, run, folds, stop, ranks, share))


def _too_short(run: Run) -> StoppedError:
    """Returns the error of a deadline while a run is prepared."""
    text = f"{TIME_OVER_TEXT}: stopped while runs/{run.name} was prepared, before a training step"
    hint = "run the same command again: the cached images are kept; if it stops here again, give more time"
    return StoppedError(text, TIME_OVER).replace(hint=hint)


@contextmanager
def _with_remaining(run: Run, workspace: Workspace, folds: Sequence[int] | None) -> Iterator[None]:
    """Opens a block that adds the remaining work of the run as cases to a StoppedError of the deadline."""
    try:
        yield
    except StoppedError as error:
        if error.number != TIME_OVER or error.cases:
            raise
        raise error.replace(cases=describe_remaining(run, workspace.experiment.epochs, folds)) from error


def _pool_folds(setting: RunContext) -> None:
    """Writes the run's out-of-fold predictions and logs their scores."""
    pooled = assemble(setting)
    if setting.trackers.recipes:
        setting.trackers.log_pooled(setting, pooled)


def _check_alone(ranks: Ranks) -> None:
    """Raises ConfigError C35 if several ranks would each start jobs for folds."""
    if ranks.count > 1:
        raise ConfigError(
            "an executor distributes folds over workers, but ranks share each fold",
            code="C35",
            hint="use either --devices or --executor",
        )


def train_runs(
    requests: Sequence[tuple[Workspace, str | None]],
    folds: Sequence[int] | None = None,
    stop: Stop | None = None,
    ranks: Ranks = ALONE,
    share: float | None = None,
) -> Work[list[Run | KitError]]:
    """Trains several runs, workspaces with names, by the first one's executor, with progress: all open folds at once.

    The result of a run that fails, or that another process holds, is its error; others continue. Stops and
    shares are as in `train_run`.
    """
    _check_alone(ranks)
    executor, stop = open_executor(requests[0][0], requests[0][0].experiment.device), stop or Stop()
    outcomes: dict[int, Run | KitError] = {}
    begun: dict[int, BegunRun] = {}
    with ExitStack() as locks:
        for index, (space, name) in enumerate(requests):
            try:
                if trains_on_features(space.experiment):
                    outcomes[index] = yield from _train_on_features(space, name, folds, stop, ranks, share)
                    continue
                run = find_run(space, name)
                check_same_experiment(run, space.experiment)
                if is_finished(run, folds):
                    outcomes[index] = run
                    continue
                locks.enter_context(run.lock())
                setting, wanted = yield from stop.cut(
                    _start_run(space, run, folds, ranks), partial(_too_short, run)
                )
                until = None
                if share is not None:
                    wanted, until = cut_to_share(setting, wanted, share)
                begun[index] = BegunRun(setting, wanted, until)
            except StoppedError:
                raise
            except KitError as error:
                outcomes[index] = error
        outcomes |= yield from train_in_parallel(executor, begun, stop)
    return [outcomes[index] for index in range(len(requests))]


def _start_run(
    workspace: Workspace, run: Run, folds: Sequence[int] | None, ranks: Ranks
) -> Work[tuple[RunContext, list[int]]]:
    """Returns a run's context and its wanted folds, after its folder records the request."""
    if ranks.is_zero:
        remove_partial_files(run.folder)
    setting = yield from prepare_run(workspace, run, ranks=ranks)
    ranks.on_rank_zero(partial(setting.begin, config_identity(workspace.experiment)))
    wanted = select_folds(setting.folds, folds)
    setting.check_starts(wanted)
    for fold in wanted:
        setting.pseudo_row_count(fold)
    return setting, wanted
