"""Training: the methods of a session that train runs, one or many, and average their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from kit.config.workspace import Workspace
from kit.core.display import Results
from kit.core.files import StrPath
from kit.session.calls import begin_call
from kit.session.config_keys import ConfigKeys, Spec, completes
from kit.session.keywords import as_axes, as_config_set, as_references, as_spec_text, check_choice
from kit.session.opened import OpenedFolder

if TYPE_CHECKING:
    from kit.experiment.dry_run import DryRunResult
    from kit.runs.run import Run
    from kit.session.keywords import Reference
    from kit.stages.training.merge import MergeResult
    from kit.stages.training.soup import SoupResult
    from kit.stages.training.sweep import SweepResult

PRESETS = ("rate", "size", "augmentation")


class TrainingMethods(OpenedFolder):
    """The methods of `kit train`, `kit sweep`, `kit soup` and `kit merge`."""

    @overload
    def train(
        self,
        name: str | None = None,
        *,
        folds: Sequence[int] | None = None,
        seeds: None = None,
        config: StrPath | None = None,
        restart: bool = False,
        devices: int | None = None,
        time: str | None = None,
        dry_run: Literal[False] = False,
        strict: bool = False,
        progress: bool = True,
        **keys: Unpack[ConfigKeys],
    ) -> Run: ...

    @overload
    def train(
        self,
        name: str | None = None,
        *,
        folds: Sequence[int] | None = None,
        seeds: Sequence[int],
        config: StrPath | None = None,
        restart: bool = False,
        devices: int | None = None,
        time: str | None = None,
        dry_run: Literal[False] = False,
        strict: bool = False,
        progress: bool = True,
        **keys: Unpack[ConfigKeys],
    ) -> Results[Run]: ...

    @overload
    def train(
        self,
        name: str | None = None,
        *,
        folds: Sequence[int] | None = None,
        seeds: Sequence[int] | None = None,
        config: StrPath | None = None,
        restart: bool = False,
        devices: int | None = None,
        time: str | None = None,
        dry_run: Literal[True],
        strict: bool = False,
        progress: bool = True,
        **keys: Unpack[ConfigKeys],
    ) -> DryRunResult: ...

    @completes
    def train(
        self,
        name: str | None = None,
        *,
        folds: Sequence[int] | None = None,
        seeds: Sequence[int] | None = None,
        config: StrPath | None = None,
        restart: bool = False,
        devices: int | None = None,
        time: str | None = None,
        dry_run: bool = False,
        strict: bool = False,
        progress: bool = True,
        **keys: Unpack[ConfigKeys],
    ) -> Run | Results[Run] | DryRunResult:
        """Trains the configured network on each fold, or resumes, and returns the run; with `seeds` one run per seed.

        `config` is read in place of config.json. The Stop button ends training after the step and raises
        Interrupted; the same call resumes. After a `time` such as `8h30m` training stops, saved, and raises
        StoppedError.
        """
        from kit.experiment.dry_run import dry_run as rehearse
        from kit.runs.run import find_run
        from kit.session.train_call import train, train_on_devices

        with begin_call(progress, strict) as call:
            call.set_time(time)
            workspace = self._configured(keys, TrainingMethods.train, config)
            if dry_run:
                return call.follow(rehearse.with_progress(workspace, name, folds))
            requests: list[tuple[Workspace, str | None]] = [
                (Workspace.of(workspace, f"seed={seed}"), name and f"{name}-seed{seed}")
                for seed in seeds or ()
            ] or [(workspace, name)]
            if devices is None:
                runs = train(call, requests, folds, restart)
            else:
                options = {
                    "name": name,
                    "folds": folds,
                    "seeds": seeds,
                    "restart": restart,
                    "devices": devices,
                    "time": time,
                }
                train_on_devices(
                    call, workspace, self._overrides(keys, TrainingMethods.train), config, options
                )
                runs = [find_run(*one) for one in requests]
            return runs[0] if seeds is None else Results(runs)

    def sweep(
        self,
        name: str,
        axes: str | Sequence[str] | Mapping[str, Any] = (),
        *,
        config_set: Sequence[str | Mapping[str, Any]] = (),
        preset: Literal["rate", "size", "augmentation"] | None = None,
        time: str | None = None,
        trials: int | None = None,
        seed: int = 0,
        pruner: Literal["halving", "median"] | None = None,
        stop_folds: bool = False,
        executor: Spec | None = None,
        progress: bool = True,
    ) -> SweepResult:
        """Trains a grid of settings, or with `trials` searches by optuna: runs NAME-001, NAME-002, ...

        `axes` is such as `{"optimizer.lr": [0.001, 0.002], "epochs": 10}`, where a list is tried value by value and a
        text may be a range, `"log:1e-4..1e-2"`. Each of `config_set` is a dict of keys. Trials that fail are in the
        result. After a `time` such as `8h30m` it stops, saved, and raises StoppedError. A `pruner` stops trials after a
        part of their epochs, `stop_folds` those whose finished folds are significantly worse than another trial's.
        """
        from kit.core.durations import parse_duration
        from kit.stages.training.sweep import run_sweep

        if preset is not None:
            check_choice("preset", preset, PRESETS)
        with begin_call(progress) as call:
            call.set_time(time)
            sets = [as_config_set(text, self.folder) for text in config_set]
            seconds = None if time is None else parse_duration(time)
            spec = None if executor is None else as_spec_text(executor)
            work = run_sweep.with_progress(
                name,
                as_axes(axes, self.folder),
                sets,
                trials,
                seed,
                self.folder,
                call.stop,
                spec,
                preset,
                seconds,
                pruner,
                stop_folds,
            )
            with call.handle_signals():
                return call.follow(work)

    def soup(
        self,
        runs: Reference | Sequence[Reference],
        *,
        name: str,
        greedy: bool = False,
        progress: bool = True,
    ) -> SoupResult:
        """Averages the weights of several runs into the run `name`, which predicts at the cost of one run.

        With `greedy` only runs that improve the score are averaged, chosen for each fold on the other folds' rows.
        """
        from kit.stages.training.soup import make_soup

        with begin_call(progress) as call:
            return call.follow(make_soup.with_progress(self.workspace, as_references(runs), name, greedy))

    def merge(self, run: Reference, *, name: str, progress: bool = True) -> MergeResult:
        """Joins heads on cached embeddings with the networks of the embeddings, as the run `name`.

        The new run predicts images: `tta`, `soup` and `bundle` take it, and `init_from` can name it.
        """
        from kit.stages.training.merge import merge_heads

        with begin_call(progress) as call:
            (reference,) = as_references(run)
            return call.follow(merge_heads.with_progress(self.workspace, reference, name))
