"""retrieve: held-out rows are answered as test rows are, nothing leaks, and what does not fit is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss
from sklearn.neighbors import KNeighborsClassifier

from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.data.embeddings import Embeddings
from kit.data.folds import Folds
from kit.data.predictions import Predictions
from kit.data.table import Table, train_table
from kit.errors import ConfigError, InvalidError, KitWarning
from kit.kinds import Scorer
from kit.stages.prediction.embed import embed, embed_untrained
from kit.stages.retrieval.neighbour_search import find_neighbours
from kit.stages.retrieval.retrieve import retrieve
from kit.stages.retrieval.source import EmbeddedRun, read_source
from kit.stages.training.train import train
from tests.blends import submit_blend


@pytest.fixture
def embedded(space: Path) -> Workspace:
    """A workspace whose run `a` is embedded by plain views."""
    embed(space, ["runs/a"])
    return Workspace.open(space)


def table_of(workspace: Workspace) -> Table:
    return train_table(workspace.root, workspace.competition.data).sort_by_id()


def source_of(workspace: Workspace) -> EmbeddedRun:
    return read_source(workspace, "runs/a", table_of(workspace))


def as_sums_of_one(shares: np.ndarray) -> np.ndarray:
    """float32 probabilities as scikit-learn wants them."""
    wide = shares.astype(np.float64)
    return np.asarray(wide / wide.sum(axis=1, keepdims=True))


def read(workspace: Workspace, views: str, split: str, run: str = "a") -> Predictions:
    return Predictions.read(workspace.runs / run / "predictions" / views / f"{split}.parquet")


def test_a_fold_of_scikit_learns_neighbours_says_the_same(embedded: Workspace) -> None:
    (result,) = retrieve(embedded, ["runs/a"], {"name": "vote", "k": 3})
    assert result.member == f"runs/a@plain-{Scorer.open({'name': 'vote', 'k': 3}).slug()}"
    table, folds = table_of(embedded), Folds.read(embedded.runs / "a/folds.csv")
    oof, test = (Predictions.read(result.folder / f"{split}.parquet") for split in ("oof", "test"))
    for fold in (0, 1):
        embeddings = Embeddings.read(embedded.runs / f"a/embeddings/plain/{fold}")
        vectors, held = embeddings.train.vectors.astype(np.float32), folds.oof_mask(fold)
        model = KNeighborsClassifier(3, metric="cosine").fit(vectors[~held], table.targets()[~held])
        theirs = model.predict_proba(vectors[held])
        mine = oof.take(oof.folds == fold).align(table.ids[held])
        np.testing.assert_allclose(mine, theirs, atol=1e-6)
        theirs = model.predict_proba(embeddings.test.vectors.astype(np.float32))
        np.testing.assert_allclose(
            test.take(test.folds == fold).align(embeddings.test.ids), theirs, atol=1e-6
        )


def test_no_row_is_answered_with_one_that_its_model_did_not_train_on(embedded: Workspace) -> None:
    source = source_of(embedded)
    oof, test = finish(find_neighbours(source, 5))
    assert test is not None
    for answered in (oof, test):
        for fold, rows in zip(answered.folds.tolist(), answered.rows, strict=True):
            assert not source.folds.oof_mask(fold)[rows].any()


def test_what_a_scorer_learns_is_scored_on_rows_that_it_did_not_learn_from(embedded: Workspace) -> None:
    (result,) = retrieve(embedded, ["runs/a"], "power")
    oof, source = read(embedded, "plain-power", "oof"), source_of(embedded)
    (answered, _), folds = finish(find_neighbours(source, 10)), oof.folds
    truth = source.table.targets()[source.table.index_of(answered.ids)]
    metric = {"name": "macro_f1", "absent": "zero"}
    other = Scorer.open({"name": "power", "metric": metric}).fit(
        answered.neighbours.take(folds == 1), truth[folds == 1]
    )
    np.testing.assert_allclose(
        oof.probabilities[folds == 0], other.score(answered.neighbours.take(folds == 0)), atol=1e-6
    )
    assert set(result.scores) >= {"log_loss", "accuracy"}


def test_a_blend_takes_classifier_and_retrieval(embedded: Workspace) -> None:
    retrieve(embedded, ["runs/a"], "power")
    with pytest.raises(InvalidError, match="D41"):
        retrieve(embedded, ["runs/a"], "product")
    from kit.stages.prediction.tta import tta

    tta(embedded, ["runs/a"])
    (result,) = retrieve(embedded, ["runs/a"], "product")
    table, plain, mine = (
        table_of(embedded),
        read(embedded, "plain", "oof"),
        read(embedded, "plain-product", "oof"),
    )
    truth, before = table.targets()[table.index_of(mine.ids)], plain.align(mine.ids)
    by_hand = [
        f1_score(truth, shares.argmax(axis=1), average="macro") for shares in (before, mine.probabilities)
    ]
    assert result.plain["macro_f1"] == pytest.approx(by_hand[0])
    assert result.plain["log_loss"] == pytest.approx(log_loss(truth, as_sums_of_one(before)), abs=1e-6)
    assert result.gain is not None
    assert result.gain.over == "plain"
    assert result.gain.value == pytest.approx(by_hand[1] - by_hand[0])
    assert result.gain.low is not None
    assert result.gain.high is not None
    assert result.gain.low <= result.gain.value <= result.gain.high
    assert submit_blend(embedded, ["runs/a", "runs/a@plain-power", "runs/a@plain-product"]).test_rows == 12


def test_predictions_of_other_checkpoints_are_not_joined(embedded: Workspace) -> None:
    from kit.stages.prediction.tta import tta

    tta(embedded, ["runs/a"])
    file = embedded.runs / "a/predictions/plain/oof.parquet"
    old = Predictions.read(file)
    Predictions(
        old.ids,
        old.folds,
        old.classes,
        old.probabilities,
        replace(old.provenance, checkpoints={"0": "0001:x"}),
    ).write(file)
    with pytest.raises(InvalidError, match="D48 the embeddings and the predictions"):
        retrieve(embedded, ["runs/a"], "product")


def test_each_reranker_is_shown_and_the_best_set_is_used(embedded: Workspace) -> None:
    rerankers = [{"name": "query_expansion", "neighbours_averaged": 2}, "database_augmentation"]
    (result,) = retrieve(embedded, ["runs/a"], "vote", rerankers)
    assert [one.name for one in result.rerankers] == ["query_expansion", "database_augmentation"]
    about = read(embedded, result.folder.name, "oof").provenance.retrieval
    assert about is not None
    kept = [one.name for one in result.rerankers if one.is_used]
    assert [spec["name"] for spec in about.rerankers] == kept


def test_a_row_without_an_image_is_answered_with_the_classes_shares(space: Path) -> None:
    (space / "data/images/070.png").write_bytes(b"")
    workspace = Workspace.open(space, ["data.on_unreadable_test=class_prior"])
    with pytest.warns(KitWarning, match="class prior"):
        embed(workspace, ["runs/a"])
    retrieve(workspace, ["runs/a"], "vote")
    test, table = read(workspace, "plain-vote", "test"), table_of(workspace)
    np.testing.assert_allclose(test.probabilities[test.ids == "070"], [table.counts() / 60] * 2, atol=1e-6)


def test_a_network_without_training_is_compared_by_the_same_folds(space: Path) -> None:
    workspace = Workspace.open(space)
    embed_untrained(workspace, "bare")
    (result,) = retrieve(workspace, ["runs/bare"], "vote")
    assert result.gain is None
    assert sorted(set(read(workspace, "plain-vote", "oof", "bare").folds.tolist())) == [0, 1]
    retrieve(workspace, [result.member.replace("-vote", "")], "power")
    assert submit_blend(workspace, ["bare@plain-vote", "bare@plain-power"]).test_rows == 12


def test_rows_of_a_single_fold_are_fitted_and_scored_on_parts_of_their_own(competition: Path) -> None:
    train(competition, ["splitter=holdout", "splitter.holdout_fraction=0.5", "epochs=1"], name="h")
    embed(competition, ["runs/h"])
    workspace = Workspace.open(competition)
    (result,) = retrieve(workspace, ["runs/h"], "power")
    oof = read(workspace, "plain-power", "oof", "h")
    assert set(oof.folds.tolist()) == {0}
    assert len(oof) == 30
    assert result.gain is not None
    assert submit_blend(workspace, ["h@plain-power"]).rows == 30


def test_more_neighbours_than_a_gallery_has_are_refused(embedded: Workspace) -> None:
    with pytest.raises(ConfigError, match="C28 k is 50, but the gallery has 30 images"):
        retrieve(embedded, ["runs/a"], "max_per_class")


def test_embeddings_that_are_not_there_say_what_makes_them(space: Path) -> None:
    with pytest.raises(InvalidError, match="D48 runs/a has no embeddings") as caught:
        retrieve(Workspace.open(space), ["runs/a@hflip"])
    assert "kit embed --checkpoints runs/a --views hflip" in str(caught.value)
    with pytest.raises(ConfigError, match="C15"):
        retrieve(Workspace.open(space), ["runs/b"])


def test_embeddings_of_other_rows_folds_or_sizes_are_refused(embedded: Workspace) -> None:
    root = embedded.root
    before = (root / "runs/a/folds.csv").read_text()
    first = before.splitlines()[1]
    (root / "runs/a/folds.csv").write_text(before.replace(first, f"{first[:-1]}{1 - int(first[-1])}"))
    with pytest.raises(InvalidError, match="other folds"):
        retrieve(embedded, ["runs/a"])
    (root / "runs/a/folds.csv").write_text(before)
    table = (root / "data/train.csv").read_text()
    (root / "data/train.csv").write_text(table[: table.rstrip().rfind("\n") + 1])
    with pytest.raises(InvalidError, match="D48"):
        retrieve(embedded, ["runs/a"])
    (root / "data/train.csv").write_text(table)
    embed_untrained(Workspace.open(root, ["backbone.width=12"]), "wide")
    shutil.rmtree(root / "runs/a/embeddings/plain/1")
    shutil.copytree(root / "runs/wide/embeddings/plain/untrained", root / "runs/a/embeddings/plain/1")
    with pytest.raises(InvalidError, match="another size than fold 0"):
        retrieve(embedded, ["runs/a"])


def test_embeddings_of_a_checkpoint_that_was_trained_again_are_refused(embedded: Workspace) -> None:
    part = embedded.runs / "a/fold-0/oof.parquet"
    old = Predictions.read(part)
    replace(old, provenance=replace(old.provenance, checkpoints={"0": "0001:of another epoch"})).write(part)
    retrieve(embedded, ["runs/a"], "vote")
    replace(old, provenance=replace(old.provenance, checkpoints={"0": "0002:trained again"})).write(part)
    with pytest.raises(InvalidError, match="D48") as caught:
        retrieve(embedded, ["runs/a"], "vote")
    assert "fold 0: another checkpoint of that number" in str(caught.value)


def test_a_class_that_a_gallery_lacks_is_reported(embedded: Workspace) -> None:
    source, table = source_of(embedded), table_of(embedded)
    labels = table.targets().copy()
    held = np.flatnonzero(source.folds.oof_mask(0))
    labels[labels == 2] = 0
    labels[held[:3]] = 2
    torn = replace(source, table=replace(table, labels=labels))
    with pytest.warns(KitWarning, match=r"W21 1 classes have no image .*\(fold 0\)"):
        finish(find_neighbours(torn, 3))
