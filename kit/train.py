"""train: folds, cache, a fit a fold, and the out-of-fold predictions of the last epoch.

The same start again resumes each fold from its newest checkpoint, or says at once that the run is finished.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kit.errors import StoppedError
from kit.files import remove_stumps
from kit.fold import training_fold
from kit.kinds import Views
from kit.predictions import Predictions
from kit.progress import Work, finish
from kit.runs.kept import tags
from kit.runs.run import Run, begin, check_same, find_run, identity, is_finished, wanted_folds
from kit.runs.scoring import described, joined, scored
from kit.runs.setting import Setting, preparing
from kit.stopping import Stop
from kit.workspace import Workspace


def train(
    workspace: Workspace | Path | str = ".", overrides: Sequence[str] = (), name: str | None = None,
    folds: Sequence[int] | None = None, config: Path | str | None = None,
) -> Run:  # fmt: skip
    """Trains a run, or the given folds of it, to its end, and returns it.

    `config` is read in config.json's place: runs/x/config.json trains what x was, to the same bits on a CPU.

    Raises KitError as the command does: ConfigError, PluginError, DataError, BusyError, RunError.
    """
    space = workspace if isinstance(workspace, Workspace) else Workspace.find(workspace, overrides, config)
    return finish(training(space, name, folds))


def training(
    workspace: Workspace,
    name: str | None = None,
    folds: Sequence[int] | None = None,
    stop: Stop | None = None,
) -> Work[Run]:
    """train, with its progress; where `stop` is asked to, it saves after the step and raises StoppedError R05."""
    run = find_run(workspace, name)
    check_same(run, workspace.experiment)
    if is_finished(run, folds):
        return run
    with run.locked():
        remove_stumps(run.folder)
        setting = yield from preparing(workspace, run)
        begin(run, identity(workspace.experiment), setting.resolved(), setting.made_from())
        setting.folds.write(run.folder / "folds.csv")
        wanted = wanted_folds(setting.folds, folds)
        for fold in wanted:
            setting.start_of(fold)
        for position, fold in enumerate(wanted):
            if stop is not None and stop.asked:
                raise StoppedError(f"stopped before fold {fold}, all others are saved", stop.asked)
            yield from training_fold(setting, fold, position, len(wanted), stop or Stop())
        setting.trackers.pooled(setting, assemble(setting))
    return run


def assemble(setting: Setting) -> Predictions:
    """Writes predictions/plain/oof.parquet from the folds that are there, with their scores."""
    run = setting.run
    parts = {k: Predictions.read(run.part(k)) for k in range(setting.folds.count) if run.part(k).is_file()}
    plugins = [Views.open("plain"), *setting.techniques.parts.bare().all()]
    about = described(run, "plain", "mean", setting.loaded.table, plugins)
    about |= {"rows": "oof", "folds": setting.folds.fingerprint(), "images": setting.loaded.fingerprint()}
    about |= {"checkpoints": tags(parts)}
    whole = scored(joined(list(parts.values()), about), setting.metric, setting.loaded.table)
    whole.write(run.predictions("plain") / "oof.parquet")
    return whole
