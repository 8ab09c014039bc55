"""Blending: the methods of a session that blend, train the final networks, and pack and run bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from kit.core.files import StrPath
from kit.errors import ConfigError
from kit.session.calls import begin_call
from kit.session.config_keys import ConfigKeys, Spec, completes
from kit.session.keywords import as_overrides, as_references, check_choice
from kit.session.opened import OpenedFolder

if TYPE_CHECKING:
    from kit.session.keywords import Reference
    from kit.stages.blending.blend import BlendResult
    from kit.stages.blending.unscored import UnscoredSubmission
    from kit.stages.bundles.bundling import BundleResult
    from kit.stages.bundles.prediction import BundlePrediction
    from kit.stages.final.final import FinalResult
    from kit.stages.final.jobs import FinalPlan
    from kit.stages.second_level.features import FeaturesResult
    from kit.stages.second_level.stack import StackResult


class BlendingMethods(OpenedFolder):
    """The methods of `kit features`, `kit stack`, `kit blend`, `kit final`, `kit bundle` and `kit predict`."""

    @completes
    def blend(
        self,
        members: Reference | Sequence[Reference],
        *,
        name: str | None = None,
        top_k: int | None = None,
        progress: bool = True,
        **config: Unpack[ConfigKeys],
    ) -> BlendResult | UnscoredSubmission:
        """Blends the predictions of runs, writes the submission and adds it to the board.

        `members` are such as "runs/r@d4", a run, or what `tta` returned. `top_k` is the number of labels per row, if
        the sample has ranked labels. Without a sample submission the blend is only scored. With members that were
        imported without folds it has no score.
        """
        from kit.stages.blending.blend import blend

        with begin_call(progress) as call:
            workspace = self._configured(config, BlendingMethods.blend)
            return call.follow(blend.with_progress(workspace, as_references(members), name=name, top_k=top_k))

    @completes
    def features(
        self,
        members: Reference | Sequence[Reference],
        *,
        out: StrPath,
        group: str | None = None,
        progress: bool = True,
        **config: Unpack[ConfigKeys],
    ) -> FeaturesResult:
        """Writes out-of-fold probabilities, `data.columns` and statistics within groups, for another framework."""
        from kit.stages.second_level.features import write_features

        with begin_call(progress) as call:
            workspace = self._configured(config, BlendingMethods.features)
            return call.follow(write_features.with_progress(workspace, as_references(members), out, group))

    @completes
    def stack(
        self,
        members: Reference | Sequence[Reference],
        *,
        name: str,
        model: str = "scikit-learn",
        group: str | None = None,
        seeds: int = 1,
        options: Mapping[str, Any] | None = None,
        progress: bool = True,
        **config: Unpack[ConfigKeys],
    ) -> StackResult:
        """Fits boosted trees to out-of-fold probabilities and `data.columns`, cross-fitted, as a run to blend."""
        from kit.stages.second_level.stack import stack

        with begin_call(progress) as call:
            workspace = self._configured(config, BlendingMethods.stack)
            work = stack.with_progress(workspace, as_references(members), name, model, group, seeds, options)
            return call.follow(work)

    @overload
    def final(
        self,
        members: Reference | Sequence[Reference] = (),
        *,
        blend: StrPath | None = None,
        seeds: Sequence[int] | None = None,
        hours: float | None = None,
        time: str | None = None,
        name: str | None = None,
        top_k: int | None = None,
        dry_run: Literal[False] = False,
        progress: bool = True,
        **config: Unpack[ConfigKeys],
    ) -> FinalResult: ...

    @overload
    def final(
        self,
        members: Reference | Sequence[Reference] = (),
        *,
        blend: StrPath | None = None,
        seeds: Sequence[int] | None = None,
        hours: float | None = None,
        time: str | None = None,
        name: str | None = None,
        top_k: int | None = None,
        dry_run: Literal[True],
        progress: bool = True,
        **config: Unpack[ConfigKeys],
    ) -> FinalPlan: ...

    @completes
    def final(
        self,
        members: Reference | Sequence[Reference] = (),
        *,
        blend: StrPath | None = None,
        seeds: Sequence[int] | None = None,
        hours: float | None = None,
        time: str | None = None,
        name: str | None = None,
        top_k: int | None = None,
        dry_run: bool = False,
        progress: bool = True,
        **config: Unpack[ConfigKeys],
    ) -> FinalResult | FinalPlan:
        """Trains a blend's members on all rows, as runs RUN-final, and writes the submission.

        `blend` is the record of a submission, such as submissions/0007-x.json, in place of `members`. With `hours`
        members that would miss the deadline are skipped. After a `time` such as `8h30m` it stops, saved, and raises
        StoppedError.
        """
        from kit.stages.final.final import plan_request, run_final

        with begin_call(progress) as call:
            call.set_time(time)
            workspace = self._configured(config, BlendingMethods.final)
            runs, spec = as_references(members), config.get("ensembler")
            planned = plan_request(
                workspace, runs, blend, spec, seeds or (), hours, top_k, resumes=time is not None
            )
            if dry_run:
                return planned
            with call.handle_signals():
                return call.follow(run_final.with_progress(workspace, planned, name, call.stop))

    def bundle(
        self,
        members: Reference | Sequence[Reference],
        *,
        out: StrPath,
        ensembler: Spec | None = None,
        wheels: bool = False,
        trial: bool = False,
        notebook: bool = False,
        kaggle_user: str | None = None,
        time: str | None = None,
        progress: bool = True,
    ) -> BundleResult:
        """Packs networks, config, plugins and kit into the folder `out`, for an offline notebook.

        `members` are runs with views, or the record of a submission. With `trial` the bundle predicts a few test rows
        without kit installed. `notebook` also writes a Kaggle notebook, with `time` as its time limit.
        """
        from kit.stages.bundles.bundling import NotebookRequest, make_bundle

        with begin_call(progress) as call:
            if time is not None and not notebook:
                raise ConfigError("time is the time limit of a notebook", code="C05", hint="notebook=True")
            request = NotebookRequest(user=kaggle_user, time_limit=time) if notebook else None
            names = as_references(members)
            work = make_bundle.with_progress(self.workspace, names, out, ensembler, wheels, trial, request)
            return call.follow(work)

    def predict(
        self,
        bundle: StrPath,
        *,
        images: StrPath,
        sample: StrPath,
        test: StrPath | None = None,
        on_unreadable_test: Literal["class_prior", "stop"] = "class_prior",
        out: StrPath = "submission.csv",
        work: StrPath = "kit-work",
        time: str | None = None,
        device: str = "auto",
        workers: int | None = None,
        data: Mapping[str, Any] | None = None,
        progress: bool = True,
    ) -> BundlePrediction:
        """Predicts the images of a folder with a bundle, and writes the submission to `out`.

        `data` changes keys of the bundle's `data`. `work` is a folder for decoded images and predictions, which the
        same call reuses. Within a `time` such as `8h30m` networks may be left out.
        """
        from kit.core.durations import parse_duration
        from kit.stages.bundles.predicting import predict_bundle
        from kit.stages.bundles.prediction import BundlePrediction, PredictionInput

        check_choice("on_unreadable_test", on_unreadable_test, ("class_prior", "stop"))
        with begin_call(progress) as call:
            changes = [] if data is None else as_overrides({"data": data}, (), self.folder)
            seconds = None if time is None else parse_duration(time)
            table = None if test is None else Path(test)
            given = PredictionInput(Path(images), Path(sample), table, on_unreadable_test, changes, seconds)
            folder, loaders = Path(bundle).resolve(), "auto" if workers is None else workers
            predicted = predict_bundle.with_progress(folder, given, Path(out), Path(work), device, loaders)
            return BundlePrediction(call.follow(predicted))
