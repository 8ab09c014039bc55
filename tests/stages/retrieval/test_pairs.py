"""pairs: learned within folds, scored on other folds, and asked for by ids."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.core.nearest import nearest
from kit.data.embeddings import Embeddings
from kit.data.folds import Folds
from kit.errors import ConfigError, DataError, InvalidError
from kit.evaluation.pair_classifier import pair_features, read_pair_classifiers
from kit.kinds import Reranker
from kit.stages.prediction.embed import embed
from kit.stages.retrieval.pairs import classify_pairs
from kit.stages.retrieval.retrieve import retrieve


@pytest.fixture
def embedded(space: Path) -> Workspace:
    embed(space, ["runs/a"])
    return Workspace.open(space)


def pairs_csv(root: Path, *rows: tuple[str, str]) -> Path:
    file = root / "pairs.csv"
    file.write_text("a,b\n" + "".join(f"{one},{other}\n" for one, other in rows))
    return file


def by_hand(workspace: Workspace, one: str, other: str, fold: int, classifier: str) -> float:
    embeddings = Embeddings.read(workspace.runs / f"a/embeddings/plain/{fold}")
    ids = [*embeddings.train.ids.tolist(), *embeddings.test.ids.tolist()]
    vectors = np.concatenate([embeddings.train.vectors, embeddings.test.vectors])
    given = pair_features(vectors[[ids.index(one)]], vectors[[ids.index(other)]])
    classifiers = read_pair_classifiers((workspace.runs / "a/pairs/plain.json").read_text())
    return float(classifiers[classifier].blend(given[None])[0, 1])


def test_each_pair_is_judged_by_networks_that_saw_none_of_it_where_there_are_such(
    embedded: Workspace,
) -> None:
    folds = Folds.read(embedded.runs / "a/folds.csv")
    first = [name for name, held in zip(folds.ids.tolist(), folds.oof_mask(0).tolist(), strict=True) if held]
    second = [name for name in folds.ids.tolist() if name not in first]
    wanted = [("060", "061"), (first[0], first[1]), (second[0], "065"), (first[0], second[0])]
    result = classify_pairs(embedded, "runs/a", pairs_csv(embedded.root, *wanted))
    both = [by_hand(embedded, "060", "061", fold, "test") for fold in (0, 1)]
    assert result.probabilities[0] == pytest.approx(np.mean(both))
    assert result.probabilities[1] == pytest.approx(by_hand(embedded, first[0], first[1], 0, "0"))
    assert result.probabilities[2] == pytest.approx(by_hand(embedded, second[0], "065", 1, "1"))
    assert result.probabilities[3] == pytest.approx(by_hand(embedded, first[0], second[0], 0, "0"))
    assert result.seen == 1


def test_a_share_moves_probabilities_and_the_threshold_alike(embedded: Workspace) -> None:
    file = pairs_csv(embedded.root, *[("060", f"{n:03d}") for n in range(61, 72)])
    even, rare = classify_pairs(embedded, "a", file), classify_pairs(embedded, "a", file, positive_rate=0.05)
    assert all(low < high for low, high in zip(rare.probabilities, even.probabilities, strict=True))
    assert [p >= even.threshold for p in even.probabilities] == [
        p >= rare.adjusted_threshold for p in rare.probabilities
    ]


def test_a_reranker_judges_held_out_rows_by_what_other_folds_taught(embedded: Workspace) -> None:
    classify_pairs(embedded, "runs/a")
    reranker = Reranker.open({"name": "pairs", "model": "runs/a/pairs/plain.json", "top_k": 8}).in_workspace(
        embedded.root
    )
    embeddings = Embeddings.read(embedded.runs / "a/embeddings/plain/0")
    queries, gallery = (
        np.array(embeddings.train.vectors[part], np.float32) for part in (slice(0, 5), slice(5, 60))
    )
    classifiers = read_pair_classifiers((embedded.runs / "a/pairs/plain.json").read_text())
    rows = nearest(queries, gallery, 8).rows
    for fold, name in ((0, "0"), (1, "1"), (None, "test")):
        neighbours = reranker.of_fold(fold).search(queries, gallery, 4, nearest)
        given = pair_features(np.repeat(queries, 8, axis=0), gallery[rows.ravel()])
        whole = classifiers[name].blend(given[None])[:, 1].reshape(5, 8)
        np.testing.assert_allclose(neighbours.similarities, -np.sort(-whole, axis=1)[:, :4], atol=1e-6)
    (result,) = retrieve(
        embedded,
        ["runs/a"],
        {"name": "vote", "k": 3},
        [{"name": "pairs", "model": "runs/a/pairs/plain.json"}],
    )
    assert result.rerankers[0].name == "pairs"


def test_a_reranker_without_its_file_says_what_makes_it(embedded: Workspace) -> None:
    with pytest.raises(ConfigError, match=r"C07 .*plain.json is no file of kit pairs"):
        retrieve(embedded, ["runs/a"], "vote", [{"name": "pairs", "model": "runs/a/pairs/plain.json"}])


def test_unknown_ids_are_named_with_their_lines(embedded: Workspace) -> None:
    with pytest.raises(DataError, match="D64 1 ids") as caught:
        classify_pairs(embedded, "runs/a", pairs_csv(embedded.root, ("060", "061"), ("060", "nobody")))
    assert "the id in line 3 is in no table" in str(caught.value)
    assert "nobody" in caught.value.cases[0].id
    (embedded.root / "one.csv").write_text("a\n060\n")
    with pytest.raises(DataError, match=r"D64 .*one column"):
        classify_pairs(embedded, "runs/a", embedded.root / "one.csv")


def test_one_fold_is_too_few_to_learn_and_to_score(embedded: Workspace) -> None:
    import shutil

    shutil.rmtree(embedded.runs / "a/embeddings/plain/1")
    with pytest.raises(InvalidError, match="D46 the classifier is fitted on one fold"):
        classify_pairs(embedded, "runs/a")


def test_the_command_prints_a_row_a_pair(
    embedded: Workspace, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    inside(embedded.root)
    pairs_csv(embedded.root, ("060", "061"), ("001", "060"))
    capsys.readouterr()
    assert run(["pairs", "runs/a", "pairs.csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["id_1"], row["id_2"]) for row in rows] == [("060", "061"), ("001", "060")]
    assert all(0 <= float(row["probability"]) <= 1 and row["same"] in "01" for row in rows)
    assert run(["pairs", "a", "pairs.csv", "--out", "judged.csv"]) == 0
    assert (embedded.root / "judged.csv").read_text().startswith("id_1,id_2,probability,same\n060,061,")
    assert run(["pairs", "a", "--json"]) == 0
    assert "threshold" in json.loads(capsys.readouterr().out.partition("\n")[2])
