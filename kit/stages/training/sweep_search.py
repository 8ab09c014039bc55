"""Search: optuna's TPE suggests one trial after another, and stores them in its own file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kit.core.installed import require_package
from kit.core.randomness import number
from kit.stages.training.sweep_space import Axis, as_overrides


class Search:
    """Suggests overrides by the scores of earlier trials.

    The same seed and scores give the same suggestions, resumed or not.

    Source: Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization" (TPE), by optuna.
    """

    def __init__(self, file: Path, axes: Sequence[Axis], higher_is_better: bool, seed: int) -> None:
        check_optuna()
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
        from optuna.study import StudyDirection

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        file.parent.mkdir(parents=True, exist_ok=True)
        storage = JournalStorage(JournalFileBackend(str(file), lock_obj=JournalFileOpenLock(str(file))))
        direction = StudyDirection.MAXIMIZE if higher_is_better else StudyDirection.MINIMIZE
        self.axes, self.seed = axes, seed
        self.study = optuna.create_study(
            storage=storage, study_name="sweep", direction=direction, load_if_exists=True
        )

    def ask(self, number_of_trial: int, together: int = 1) -> tuple[str, ...]:
        """Returns the overrides of trial `number_of_trial`, counted from 0.

        Those of a trial that was started before stay as they were.

        If several are suggested before any has its score, those without one count as bad, so that they
        differ.
        """
        from optuna.samplers import TPESampler

        if number_of_trial < len(self.study.trials):
            return self._overrides(self.study.trials[number_of_trial].params)
        self.study.sampler = TPESampler(
            seed=number(self.seed, "sweep", number_of_trial) % 2**32,
            **({"constant_liar": True} if together > 1 else {}),
        )
        trial = self.study.ask()
        return self._overrides({axis.key: _suggest(trial, axis) for axis in self.axes})

    def tell(
        self, number_of_trial: int, score: float | None, reports: Mapping[int, float] | None = None
    ) -> None:
        """Records a trial's score; None if it failed or, with `reports` by step, was pruned."""
        from optuna.trial import Trial, TrialState

        known = self.study.trials[number_of_trial]
        if known.state != TrialState.RUNNING:
            return
        if score is None and reports:
            trial = Trial(self.study, known._trial_id)
            for step, value in sorted(reports.items()):
                trial.report(value, step)
            self.study.tell(number_of_trial, state=TrialState.PRUNED)
            return
        state = TrialState.FAIL if score is None else TrialState.COMPLETE
        self.study.tell(number_of_trial, score, state=state)

    def _overrides(self, params: dict[str, Any]) -> tuple[str, ...]:
        return as_overrides({axis.key: params[axis.key] for axis in self.axes if axis.key in params})


def _suggest(trial: Any, axis: Axis) -> Any:
    if axis.range is None:
        return trial.suggest_categorical(axis.key, list(axis.values))
    ask = trial.suggest_int if axis.range.whole else trial.suggest_float
    low, high = (
        (int(axis.range.low), int(axis.range.high)) if axis.range.whole else (axis.range.low, axis.range.high)
    )
    return ask(axis.key, low, high, log=axis.range.log)


def check_optuna() -> None:
    """Raises ConfigError C24 if optuna is not installed."""
    require_package("optuna", "a search", "use a grid without --trials")
