"""Prediction: the methods of a session that predict, embed and compare rows with trained runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack, overload

from kit.core.display import Results
from kit.core.files import StrPath, write_text
from kit.errors import ConfigError
from kit.session.calls import begin_call
from kit.session.config_keys import EmbedKeys, Spec, TtaKeys, completes
from kit.session.keywords import as_references, check_choice
from kit.session.opened import OpenedFolder

if TYPE_CHECKING:
    from kit.session.keywords import Reference
    from kit.stages.prediction.boxes import BoxesResult
    from kit.stages.prediction.embed import EmbedResult
    from kit.stages.prediction.tta import TtaResult
    from kit.stages.prediction.view_policy import ViewPolicyResult
    from kit.stages.pseudo_labelling.pseudo import PseudoResult
    from kit.stages.retrieval.pairs import PairsResult
    from kit.stages.retrieval.retrieve import RetrievalResult
    from kit.stages.retrieval.retrieve_images import ImageAnswers


class PredictionMethods(OpenedFolder):
    """What `kit tta`, `kit boxes`, `kit embed`, `kit retrieve`, `kit pairs` and `kit pseudo-labels` do."""

    @overload
    def tta(
        self,
        checkpoints: Reference | Sequence[Reference],
        *,
        views: Spec = "plain",
        merge: Literal["mean", "geometric"] = "mean",
        choose_views: None = None,
        rows: Literal["test", "train", "both"] = "test",
        bn_adapt: int | None = None,
        device: str = "auto",
        executor: Spec | None = None,
        time: str | None = None,
        progress: bool = True,
        **config: Unpack[TtaKeys],
    ) -> Results[TtaResult]: ...

    @overload
    def tta(
        self,
        checkpoints: Reference | Sequence[Reference],
        *,
        views: Spec = "plain",
        merge: Literal["mean", "geometric"] = "mean",
        choose_views: Spec,
        rows: Literal["test", "train", "both"] = "test",
        bn_adapt: int | None = None,
        device: str = "auto",
        executor: Spec | None = None,
        time: str | None = None,
        progress: bool = True,
        **config: Unpack[TtaKeys],
    ) -> Results[ViewPolicyResult]: ...

    @completes
    def tta(
        self,
        checkpoints: Reference | Sequence[Reference],
        *,
        views: Spec = "plain",
        merge: Literal["mean", "geometric"] = "mean",
        choose_views: Spec | None = None,
        rows: Literal["test", "train", "both"] = "test",
        bn_adapt: int | None = None,
        device: str = "auto",
        executor: Spec | None = None,
        time: str | None = None,
        progress: bool = True,
        **config: Unpack[TtaKeys],
    ) -> Results[TtaResult] | Results[ViewPolicyResult]:
        """Predicts test and out-of-fold rows with test-time augmentation: one result per run.

        `choose_views` is an ensembler that fits the weights of the views on out-of-fold rows. `bn_adapt` adapts
        batch norm to the predicted rows; training's statistics count as so many rows. After a `time`
        such as `2h` it stops, saved, and raises StoppedError.
        """
        from kit.stages.prediction import view_policy
        from kit.stages.prediction.tta import tta

        check_choice("merge", merge, ("mean", "geometric"))
        check_choice("rows", rows, ("test", "train", "both"))
        if choose_views is not None and (merge != "mean" or rows != "test"):
            text = "with choose_views, the view weights are fitted, for held-out and test rows only"
            raise ConfigError(text, code="C05", hint=f"omit {'merge' if merge != 'mean' else 'rows'}")
        if bn_adapt is not None and (choose_views is not None or bn_adapt < 0):
            text = "bn_adapt is a number of rows, at least 0, and choose_views does not adapt batch norm"
            raise ConfigError(text, code="C05", hint="omit bn_adapt")
        with begin_call(progress) as call:
            call.set_time(time)
            given = {**config, **({} if executor is None else {"executor": executor})}
            workspace, paths = self._configured(given, PredictionMethods.tta), as_references(checkpoints)
            with call.handle_signals():
                if choose_views is None:
                    work = tta.with_progress(
                        workspace, paths, views, merge, device, rows, call.stop, bn_adapt
                    )
                    return Results(call.follow(work))
                fitting = view_policy.choose_views.with_progress(
                    workspace, paths, views, choose_views, device, call.stop
                )
                return Results(call.follow(fitting))

    @completes
    def boxes(
        self,
        run: Reference,
        *,
        out: StrPath = "boxes.csv",
        threshold: float = 0.15,
        device: str = "auto",
        progress: bool = True,
        **config: Unpack[EmbedKeys],
    ) -> BoxesResult:
        """Writes a box per image from a run's Grad-CAM map, for `data.box`.

        `threshold` is the share of a Grad-CAM map's maximum that belongs to the box.
        """
        from kit.stages.prediction.boxes import boxes

        with begin_call(progress) as call:
            workspace = self._configured(config, PredictionMethods.boxes)
            (path,) = as_references(run)
            return call.follow(boxes.with_progress(workspace, path, out, threshold, device))

    @completes
    def embed(
        self,
        checkpoints: Reference | Sequence[Reference] = (),
        *,
        untrained: str | None = None,
        index: StrPath | None = None,
        index_images: str | None = None,
        views: Spec = "plain",
        device: str = "auto",
        progress: bool = True,
        **config: Unpack[EmbedKeys],
    ) -> Results[EmbedResult]:
        """Embeds training and test images for `retrieve`: each image becomes a vector of length 1.

        `untrained` embeds with the config's untrained network, as a run of this name, in place of checkpoints.
        `index` is a CSV of other images, which are embedded instead; `index_images` is the path pattern of one.
        """
        from kit.stages.prediction.embed import embed, embed_index, embed_untrained

        with begin_call(progress) as call:
            paths = as_references(checkpoints)
            if bool(paths) == (untrained is not None):
                raise ConfigError("give either checkpoints, or untrained", code="C05")
            if index is not None and untrained is not None:
                raise ConfigError("an index is embedded by checkpoints", code="C05")
            if index is None and index_images is not None:
                raise ConfigError("index_images needs index", code="C05")
            workspace = self._configured(config, PredictionMethods.embed)
            if index is not None:
                work = embed_index.with_progress(workspace, paths, index, index_images, views, device)
                return Results(call.follow(work))
            if untrained is None:
                return Results(call.follow(embed.with_progress(workspace, paths, views, device)))
            return Results([call.follow(embed_untrained.with_progress(workspace, untrained, views, device))])

    @overload
    def retrieve(
        self,
        members: Reference | Sequence[Reference],
        *,
        scorer: Spec = "power",
        reranker: Spec | Sequence[Spec] = (),
        within: None = None,
        index: None = None,
        progress: bool = True,
    ) -> Results[RetrievalResult]: ...

    @overload
    def retrieve(
        self,
        members: Reference | Sequence[Reference],
        *,
        reranker: Spec | Sequence[Spec] = (),
        within: Literal["test"] | None = None,
        index: StrPath | None = None,
        answer: Literal["ranking", "set"] | None = None,
        at_least: int = 1,
        at_most: int = 100,
        threshold: float | None = None,
        pca: int | None = None,
        whiten: bool = False,
        name: str | None = None,
        progress: bool = True,
    ) -> ImageAnswers: ...

    def retrieve(
        self,
        members: Reference | Sequence[Reference],
        *,
        scorer: Spec = "power",
        reranker: Spec | Sequence[Spec] = (),
        within: Literal["test"] | None = None,
        index: StrPath | None = None,
        answer: Literal["ranking", "set"] | None = None,
        at_least: int = 1,
        at_most: int = 100,
        threshold: float | None = None,
        pca: int | None = None,
        whiten: bool = False,
        name: str | None = None,
        progress: bool = True,
    ) -> Results[RetrievalResult] | ImageAnswers:
        """Predicts rows from their nearest training images, by the embeddings of runs. `blend` takes the results.

        With several rerankers kit tries all combinations and uses the best. With `within` or `index`, test
        rows are answered with images of the test rows or of a CSV: a ranked list, or a set above a threshold.
        The call writes the submission, and joins the embeddings of several runs.
        """
        from kit.stages.retrieval.retrieve import retrieve
        from kit.stages.retrieval.retrieve_images import open_question, retrieve_images

        with begin_call(progress) as call:
            rerankers = [reranker] if isinstance(reranker, str | Mapping) else [*reranker]
            question = open_question(
                within, index, answer, at_least, at_most, threshold, pca, whiten, rerankers
            )
            if question is not None:
                steps = retrieve_images.with_progress(self.workspace, as_references(members), question, name)
                return call.follow(steps)
            work = retrieve.with_progress(self.workspace, as_references(members), scorer, rerankers)
            return Results(call.follow(work))

    def pairs(
        self,
        member: Reference,
        csv_file: StrPath | None = None,
        *,
        positive_rate: float | None = None,
        out: StrPath | None = None,
        progress: bool = True,
    ) -> PairsResult:
        """Estimates the probability that two images share a class, for the pairs of ids in the file `csv_file`.

        `positive_rate` is the expected fraction of positive pairs, from 0 to 1. `out` is a file for the scored pairs.
        """
        from kit.stages.retrieval.pairs import classify_pairs

        if positive_rate is not None and not 0 < positive_rate < 1:
            raise ConfigError(f"a positive rate of {positive_rate!r} is not between 0 and 1", code="C05")
        with begin_call(progress) as call:
            (name,) = as_references(member)
            csv_path = None if csv_file is None else Path(csv_file)
            result = call.follow(classify_pairs.with_progress(self.workspace, name, csv_path, positive_rate))
            if out is not None:
                write_text(Path(out), result.to_csv())
            return result

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
        from kit.stages.pseudo_labelling.rule import Rule

        check_choice("rows", rows, ("test", "train", "both"))
        with begin_call(progress) as call:
            least_confidence = 0.0 if threshold is None and top_fraction is not None else threshold
            rule = Rule(
                least_confidence, 1.0 if top_fraction is None else top_fraction, class_balanced, unanimous
            )
            row_kinds = ("test", "train") if rows == "both" else (rows,)
            request = PseudoRequest(rule, "soft" if soft else "hard", ensembler, row_kinds)
            return call.follow(pseudo.with_progress(self.folder, as_references(members), name, request))
