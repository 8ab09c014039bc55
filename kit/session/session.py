"""Session: `kit.open(".")`, a competition with one method per command of the same name and options.

comp = kit.open(".")
run = comp.train("r", backbone="resnet18", epochs=20, optimizer={"lr": 1e-3})
comp.blend(comp.tta([run], views="hflip"))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from kit.config.workspace import Workspace
from kit.core.display import Results
from kit.core.files import StrPath
from kit.errors import ConfigError
from kit.session.board import BoardCommands
from kit.session.calls import begin_call
from kit.session.config_keys import ConfigKeys, SharedKeys, Spec, completes
from kit.session.keywords import as_overrides, as_references, check_choice
from kit.session.plot import PlotCommands
from kit.session.runs import RunsMethods
from kit.session.submission import SubmissionCommands

if TYPE_CHECKING:
    from kit.commands.report import ReportResult
    from kit.experiment.dry_run import DryRunResult
    from kit.runs.run import Run
    from kit.session.keywords import Reference
    from kit.stages.blending.blend import BlendResult
    from kit.stages.checks.check import CheckResult
    from kit.stages.checks.one_batch.trial import SanityCheckResult
    from kit.stages.prediction.tta import TtaResult
    from kit.stages.prediction.view_policy import ViewPolicyResult
    from kit.stages.pseudo_labelling.pseudo import PseudoResult


class Session(RunsMethods):
    """A competition's folder, opened; each method does what the command of its name does.

    Keywords that are keys of config.json change the config for one call. Each call reads config.json again.
    `progress=False` silences a call.
    """

    def __init__(self, folder: StrPath = ".") -> None:
        """Opens the workspace of a folder, or of the nearest folder above it that has a config.json.

        Raises ConfigError C06 if there is none.
        """
        self.folder = Workspace.find(folder).root

    def __fspath__(self) -> str:
        return str(self.folder)

    def __repr__(self) -> str:
        return f"kit.open({str(self.folder)!r})"

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.startswith("_") or name.endswith("__")]

    @property
    def workspace(self) -> Workspace:
        """The folder with its config.json, as it is now."""
        return Workspace.find(self.folder)

    @property
    def board(self) -> BoardCommands:
        """The ranking of submissions, and `board.score(7, 0.8123)`, `board.choose_final(2)` and others."""
        return BoardCommands(self.folder)

    @property
    def submission(self) -> SubmissionCommands:
        """`submission.check("mine.csv")` and `submission.upload_command(3)`."""
        return SubmissionCommands(self.folder)

    @property
    def plot(self) -> PlotCommands:
        """`plot.augment()`, `plot.lr()`, `plot.members([...])` and `plot.retrieve(...)`."""
        return PlotCommands(self.folder)

    @overload
    def check(
        self,
        *,
        pipeline: Literal[False] = False,
        strict: bool = False,
        csv: StrPath | None = None,
        runs: Reference | Sequence[Reference] = (),
        checkpoints: StrPath | Sequence[StrPath] = (),
        progress: bool = True,
        **config: Unpack[ConfigKeys],
    ) -> CheckResult: ...

    @overload
    def check(
        self,
        *,
        pipeline: Literal[True],
        strict: bool = False,
        csv: StrPath | None = None,
        runs: Reference | Sequence[Reference] = (),
        checkpoints: StrPath | Sequence[StrPath] = (),
        progress: bool = True,
        **config: Unpack[ConfigKeys],
    ) -> SanityCheckResult: ...

    @completes
    def check(
        self,
        *,
        pipeline: bool = False,
        strict: bool = False,
        csv: StrPath | None = None,
        runs: Reference | Sequence[Reference] = (),
        checkpoints: StrPath | Sequence[StrPath] = (),
        progress: bool = True,
        **config: Unpack[ConfigKeys],
    ) -> CheckResult | SanityCheckResult:
        """Checks tables, images and labels before training; with `pipeline` whether every part learns.

        `csv` is a file for all cases. With `strict` problems and warnings raise DataError K01, otherwise the result
        lists them.
        """
        from kit.stages.checks.check import run_checks
        from kit.stages.checks.finding import check_strictly, write_cases
        from kit.stages.checks.last_findings import save_findings
        from kit.stages.checks.one_batch.trial import sanity_check

        with begin_call(progress) as call:
            workspace = self._configured(config, Session.check)
            if pipeline:
                tried = call.follow(sanity_check.with_progress(workspace))
                found: CheckResult | SanityCheckResult = tried
            else:
                looked = call.follow(
                    run_checks.with_progress(workspace, as_references(runs), as_references(checkpoints))
                )
                save_findings(workspace.root, looked.folds, looked.findings)
                found = looked
            if csv is not None:
                write_cases(Path(csv), found.findings)
            if strict:
                check_strictly(found.findings)
            return found

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

        `config` is read in place of config.json. The Stop button ends training after the step and raises Interrupted;
        the same call resumes. After a `time` such as `8h30m` training stops, saved, and raises StoppedError.
        """
        from kit.experiment.dry_run import dry_run as rehearse
        from kit.runs.run import find_run
        from kit.session.training import train, train_on_devices

        with begin_call(progress, strict) as call:
            call.set_time(time)
            workspace = self._configured(keys, Session.train, config)
            if dry_run:
                return call.follow(rehearse.with_progress(workspace, name, folds))
            asked: list[tuple[Workspace, str | None]] = [
                (Workspace.of(workspace, f"seed={seed}"), name and f"{name}-seed{seed}")
                for seed in seeds or ()
            ] or [(workspace, name)]
            if devices is None:
                runs = train(call, asked, folds, restart)
            else:
                options = {
                    "name": name,
                    "folds": folds,
                    "seeds": seeds,
                    "restart": restart,
                    "devices": devices,
                    "time": time,
                }
                train_on_devices(call, workspace, self._overrides(keys, Session.train), config, options)
                runs = [find_run(*one) for one in asked]
            return runs[0] if seeds is None else Results(runs)

    @overload
    def tta(
        self,
        checkpoints: StrPath | Sequence[StrPath],
        *,
        views: Spec = "plain",
        merge: Literal["mean", "geometric"] = "mean",
        choose_views: None = None,
        rows: Literal["test", "train", "both"] = "test",
        device: str = "auto",
        executor: Spec | None = None,
        time: str | None = None,
        progress: bool = True,
        **config: Unpack[SharedKeys],
    ) -> Results[TtaResult]: ...

    @overload
    def tta(
        self,
        checkpoints: StrPath | Sequence[StrPath],
        *,
        views: Spec = "plain",
        merge: Literal["mean", "geometric"] = "mean",
        choose_views: Spec,
        rows: Literal["test", "train", "both"] = "test",
        device: str = "auto",
        executor: Spec | None = None,
        time: str | None = None,
        progress: bool = True,
        **config: Unpack[SharedKeys],
    ) -> Results[ViewPolicyResult]: ...

    @completes
    def tta(
        self,
        checkpoints: StrPath | Sequence[StrPath],
        *,
        views: Spec = "plain",
        merge: Literal["mean", "geometric"] = "mean",
        choose_views: Spec | None = None,
        rows: Literal["test", "train", "both"] = "test",
        device: str = "auto",
        executor: Spec | None = None,
        time: str | None = None,
        progress: bool = True,
        **config: Unpack[SharedKeys],
    ) -> Results[TtaResult] | Results[ViewPolicyResult]:
        """Predicts test and out-of-fold rows with test-time augmentation: one result per run.

        `choose_views` is an ensembler that fits the weights of the views on out-of-fold rows. After a `time`
        such as `2h` it stops, saved, and raises StoppedError.
        """
        from kit.stages.prediction import view_policy
        from kit.stages.prediction.tta import tta

        check_choice("merge", merge, ("mean", "geometric"))
        check_choice("rows", rows, ("test", "train", "both"))
        if choose_views is not None and (merge != "mean" or rows != "test"):
            text = "with choose_views, the view weights are fitted, for held-out and test rows only"
            raise ConfigError(text, code="C05", hint=f"omit {'merge' if merge != 'mean' else 'rows'}")
        with begin_call(progress) as call:
            call.set_time(time)
            given = {**config, **({} if executor is None else {"executor": executor})}
            workspace, paths = self._configured(given, Session.tta), as_references(checkpoints)
            with call.handle_signals():
                if choose_views is None:
                    work = tta.with_progress(workspace, paths, views, merge, device, rows, call.stop)
                    return Results(call.follow(work))
                fitting = view_policy.choose_views.with_progress(
                    workspace, paths, views, choose_views, device, call.stop
                )
                return Results(call.follow(fitting))

    @completes
    def blend(
        self,
        members: Reference | Sequence[Reference],
        *,
        name: str | None = None,
        top_k: int | None = None,
        progress: bool = True,
        **config: Unpack[ConfigKeys],
    ) -> BlendResult:
        """Blends the predictions of runs, writes the submission and adds it to the board.

        `members` are such as "runs/r@d4", a run, or what `tta` returned. `top_k` is the number of labels per row, if
        the sample has ranked labels. Without a sample submission the blend is only scored.
        """
        from kit.stages.blending.blend import blend

        with begin_call(progress) as call:
            workspace = self._configured(config, Session.blend)
            return call.follow(blend.with_progress(workspace, as_references(members), name=name, top_k=top_k))

    def pseudo_labels(
        self,
        members: Reference | Sequence[Reference],
        *,
        name: str | None = None,
        threshold: float | None = None,
        top_fraction: float | None = None,
        class_balanced: bool = False,
        unanimous: bool = False,
        soft: bool = False,
        ensembler: Spec = "mean",
        rows: Literal["test", "train", "both"] = "test",
        progress: bool = True,
    ) -> PseudoResult:
        """Creates pseudo-labels from the predictions of runs, for the key `pseudo_labels` of a student."""
        from kit.stages.pseudo_labelling.pseudo import PseudoRequest, pseudo
        from kit.stages.pseudo_labelling.rule import DEFAULT_THRESHOLD, Rule

        check_choice("rows", rows, ("test", "train", "both"))
        with begin_call(progress) as call:
            sure = threshold if threshold is not None else DEFAULT_THRESHOLD if top_fraction is None else 0.0
            rule = Rule(sure, 1.0 if top_fraction is None else top_fraction, class_balanced, unanimous)
            told = ("test", "train") if rows == "both" else (rows,)
            asked = PseudoRequest(rule, "soft" if soft else "hard", ensembler, told)
            return call.follow(pseudo.with_progress(self.folder, as_references(members), name, asked))

    def report(
        self,
        runs: Reference | Sequence[Reference] = (),
        *,
        out: StrPath = "report.html",
        write_up: bool = False,
        cam: bool = False,
        no_check: bool = False,
        progress: bool = True,
    ) -> ReportResult:
        """Writes an HTML report of data, runs, mistakes and blends; its numbers go into the .json beside it."""
        from kit.commands.report import write_report

        with begin_call(progress) as call:
            workspace, asked = self.workspace, as_references(runs)
            return call.follow(
                write_report(workspace, asked, Path(out), write_up=write_up, check=not no_check, cam=cam)
            )

    def _configured(self, keys: Mapping[str, Any], method: Any, config: StrPath | None = None) -> Workspace:
        """The workspace with the keys of one call applied."""
        return Workspace.find(self.folder, self._overrides(keys, method), config)

    def _overrides(self, keys: Mapping[str, Any], method: Any) -> list[str]:
        return as_overrides(keys, method.__signature__.parameters, self.folder)


def open(folder: StrPath = ".") -> Session:  # noqa: A001 - as `kit.open`
    """Opens a competition: the folder of a config.json, or a folder inside it. Raises ConfigError C06 without one."""
    return Session(folder)
