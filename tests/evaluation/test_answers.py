"""Scoring of answers: predictions of images joined when they are read, against pandas and scikit-learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, log_loss, roc_auc_score

from kit.data.predictions import Predictions
from kit.data.table import Table
from kit.errors import InvalidError
from kit.evaluation.answers import expand_to_images, join_test_images
from kit.evaluation.competition import Scoring, for_metric, scores, with_scores
from kit.kinds import Aggregator, Metric
from kit.kinds.targets import MULTI_HOT

CLASSES = ("no", "yes")


def images(answers: int = 40, seed: int = 0) -> tuple[Table, Predictions]:
    """A training table of answers with one to five images, and out-of-fold predictions by four folds."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 6, answers)
    owners = np.repeat(np.arange(answers), counts)
    truth = rng.permutation(np.arange(answers) % 2)
    positive = np.clip(0.35 + 0.2 * truth[owners] + rng.normal(0, 0.25, len(owners)), 0.01, 0.99)
    order = rng.permutation(len(owners))
    ids = np.array([f"i{row:03d}" for row in range(len(owners))])
    names = np.array([f"a{number:02d}" for number in range(answers)])
    table = Table(
        ids, [Path(f"/nowhere/{name}") for name in ids], CLASSES, truth[owners], answers=names[owners]
    )
    shares = np.stack([1 - positive, positive], axis=1).astype(np.float32)
    predictions = Predictions(ids, owners % 4, CLASSES, shares)
    return table, predictions.take(order)


def scoring(spec: object = "mean", metric: str = "auc") -> Scoring:
    metric_plugin = Metric.open(metric)
    return Scoring(metric_plugin, for_metric(Aggregator.open(spec), metric_plugin))


def frame_of(table: Table, predictions: Predictions) -> pd.DataFrame:
    """The positive class's probability, the answer and the label of each image, as pandas has them."""
    frame = pd.DataFrame(
        {"id": predictions.ids, "fold": predictions.folds, "p": predictions.probabilities[:, 1].astype(float)}
    )
    known = pd.DataFrame({"id": table.ids, "answer": table.answers, "label": table.labels})
    return frame.merge(known, on="id")


def test_scores_are_those_of_scikit_learn_on_the_rows_that_pandas_joins() -> None:
    table, predictions = images()
    joined = frame_of(table, predictions).groupby("answer").agg(p=("p", "mean"), label=("label", "first"))
    metric_scores = scores(scoring(), predictions, table)
    assert metric_scores["auc"] == pytest.approx(roc_auc_score(joined["label"], joined["p"]), abs=1e-9)
    assert metric_scores["log_loss"] == pytest.approx(log_loss(joined["label"], joined["p"]), abs=1e-6)
    assert metric_scores["accuracy"] == pytest.approx(((joined["p"] > 0.5) == joined["label"]).mean())


def test_each_folds_score_is_of_the_answers_that_it_held_out() -> None:
    table, predictions = images()
    fold_scores = with_scores(predictions, scoring("max"), table).provenance.require_fold_scores()
    joined = (
        frame_of(table, predictions).groupby("answer").agg(fold=("fold", "first"), label=("label", "first"))
    )
    largest = frame_of(table, predictions).assign(n=lambda f: 1 - f["p"]).groupby("answer")[["n", "p"]].max()
    joined["p"] = largest["p"] / largest.sum(axis=1)
    for fold, rows in joined.groupby("fold"):
        assert fold_scores[str(fold)]["auc"] == pytest.approx(
            roc_auc_score(rows["label"], rows["p"]), abs=1e-9
        )


def test_a_fitted_option_is_cross_fitted_by_fold() -> None:
    table, predictions = images()
    recipe = scoring("top_k_mean", "log_loss")
    joined, fitted = recipe.answers(predictions, table)
    frame = frame_of(table, predictions)

    def top(rows: pd.DataFrame, k: int) -> pd.DataFrame:
        def mean_of_largest(column: pd.Series) -> float:
            return float(column.nlargest(k).mean())

        best = rows.assign(n=1 - rows["p"]).groupby("answer")[["n", "p"]].agg(mean_of_largest)
        best["p"] = best["p"] / best.sum(axis=1)
        return best.join(rows.groupby("answer")["label"].first())

    def best_k(rows: pd.DataFrame) -> int:
        most = int(rows.groupby("answer").size().max())
        costs = {k: log_loss(top(rows, k)["label"], top(rows, k)["p"]) for k in range(1, most + 1)}
        return min(costs, key=lambda k: costs[k])

    for fold in range(4):
        held = frame[frame["fold"] == fold]
        wanted = top(held, best_k(frame[frame["fold"] != fold]))["p"]
        mine = joined.take(joined.folds == fold).align(wanted.index)[:, 1]
        assert mine == pytest.approx(wanted.to_numpy(), abs=1e-6)
    assert getattr(fitted, "k", None) == best_k(frame)


def test_the_cross_fitted_score_of_noise_is_lower_than_the_fitted_one() -> None:
    """With labels that carry no information, a choice among powers looks better on the rows that it was made on."""
    gaps = []
    for seed in range(12):
        table, predictions = images(24, seed)
        rng = np.random.default_rng(seed)
        drawn = {name: int(rng.random() < 0.5) for name in np.unique(np.asarray(table.answers)).tolist()}
        table = replace(table, labels=np.array([drawn[name] for name in np.asarray(table.answers).tolist()]))
        recipe = scoring("confidence_weighted", "log_loss")
        joined, fitted = recipe.answers(predictions, table)
        again, _ = Scoring(recipe.metric, fitted).answers(predictions, table)
        truth = table.by_answer.take(table.by_answer.index_of(joined.ids)).targets()
        gaps.append(log_loss(truth, joined.probabilities) - log_loss(truth, again.probabilities))
    assert np.mean(gaps) > 0


def test_repeats_have_a_row_an_answer_and_fold_and_are_scored_by_their_mean() -> None:
    table, predictions = images()
    second = replace(
        predictions, folds=predictions.folds + 4, probabilities=predictions.probabilities[:, ::-1].copy()
    )
    both = replace(
        predictions,
        ids=np.concatenate([predictions.ids, second.ids]),
        folds=np.concatenate([predictions.folds, second.folds]),
        probabilities=np.concatenate([predictions.probabilities, second.probabilities]),
    )
    joined, _ = scoring().answers(both, table)
    assert len(joined) == 2 * 40
    assert np.allclose(joined.mean().probabilities, 0.5, atol=1e-6)
    fitted, _ = scoring("top_k_mean").answers(both, table)
    assert len(fitted) == 80


def test_too_few_answers_to_cut_are_joined_by_the_mean() -> None:
    table, predictions = images()
    one = predictions.take(np.isin(predictions.ids, table.ids[np.asarray(table.answers) == "a00"]))
    joined, fitted = scoring("top_k_mean").answers(one, table)
    assert np.allclose(joined.probabilities, one.probabilities.mean(axis=0), atol=1e-6)
    assert fitted.needs_fit()


def test_without_answers_predictions_stay_as_they_are() -> None:
    table, predictions = images()
    plain = replace(table, answers=None)
    assert scoring("top_k_mean").answers(predictions, plain)[0] is predictions
    assert join_test_images(predictions, plain, Aggregator.open("max")) is predictions


def test_several_labels_are_joined_column_by_column() -> None:
    table, predictions = images()
    rng = np.random.default_rng(3)
    hot = {name: rng.integers(0, 2, 2) for name in np.unique(np.asarray(table.answers)).tolist()}
    table = replace(
        table, labels=np.stack([hot[n] for n in np.asarray(table.answers).tolist()]).astype(np.int8)
    )
    shares = rng.random((len(predictions), 2)).astype(np.float32)
    predictions = replace(predictions, probabilities=shares, target=MULTI_HOT)
    metric = Metric.open({"name": "f1", "average": "macro"})
    recipe = Aggregator.open("noisy_or").with_known(target=MULTI_HOT)
    joined, _ = Scoring(metric, recipe).answers(predictions, table)
    frame = pd.DataFrame(1 - shares.astype(float)).assign(
        answer=[np.asarray(table.answers)[table.index_of([name])[0]] for name in predictions.ids.tolist()]
    )
    wanted = 1 - frame.groupby("answer").prod()
    assert np.allclose(joined.align(wanted.index), wanted.to_numpy(), atol=1e-6)
    truth = np.stack([hot[name] for name in joined.ids.tolist()])
    score = scores(Scoring(metric, recipe), predictions, table)["f1"]
    assert score == pytest.approx(f1_score(truth, joined.probabilities >= 0.5, average="macro"))


def test_test_images_are_joined_by_fold_and_a_stranger_is_refused() -> None:
    table, predictions = images()
    test = replace(table, labels=None)
    joined = join_test_images(predictions, test, Aggregator.open("mean"))
    wanted = frame_of(table, predictions).groupby("answer")["p"].mean()
    assert np.allclose(joined.align(wanted.index)[:, 1], wanted, atol=1e-6)
    with pytest.raises(InvalidError, match="1 predicted images are not in the test table") as caught:
        join_test_images(
            replace(predictions, ids=np.append(predictions.ids[:-1], "zzz")), test, Aggregator.open("mean")
        )
    assert caught.value.code == "D41"


def test_a_sample_that_lists_images_gets_each_the_prediction_of_its_answer() -> None:
    table, predictions = images()
    test = replace(table, labels=None)
    joined = join_test_images(
        replace(predictions, folds=predictions.folds * 0), test, Aggregator.open("mean")
    )
    spread = expand_to_images(joined, test, test.ids.tolist())
    wanted = frame_of(table, predictions).groupby("answer")["p"].transform("mean")
    assert np.allclose(spread.align(frame_of(table, predictions)["id"])[:, 1], wanted, atol=1e-6)
    assert expand_to_images(joined, test, joined.ids.tolist()) is joined


def test_predictions_stay_if_the_sample_asks_for_answers_or_rows_are_images() -> None:
    shares = np.array([[0.4, 0.6]], np.float32)
    answers = Predictions(np.array(["x"]), np.array([0]), CLASSES, shares)
    table = Table(np.array(["x", "y"]), [Path("x"), Path("y")], CLASSES, None, answers=np.array(["x", "x"]))
    assert expand_to_images(answers, table, ["x"]) is answers  # x is an answer and also an image
    assert expand_to_images(answers, table, ["x", "y"]).ids.tolist() == ["x", "y"]
    assert expand_to_images(answers, table, ["other"]) is answers
    assert expand_to_images(answers, replace(table, answers=None), ["x", "y"]) is answers
