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
from kit.evaluation.pair_classifier import pair_features, read_judges
from kit.kinds import Reranker
from kit.stages.prediction.embed import embed
from kit.stages.retrieval.pairs import classify_pairs
from kit.stages.retrieval.retrieve import retrieve


@pytest.fixture
def embedded(space: Path) -> Workspace:
    embed(space, ["runs/a"])
    return Workspace.open(space)


def asked(root: Path, *rows: tuple[str, str]) -> Path:
    file = root / "pairs.csv"
    file.write_text("a,b\n" + "".join(f"{one},{other}\n" for one, other in rows))
    return file


def by_hand(workspace: Workspace, one: str, other: str, fold: int, judge: str) -> float:
    found = Embeddings.read(workspace.runs / f"a/embeddings/plain/{fold}")
    ids = [*found.train.ids.tolist(), *found.test.ids.tolist()]
    vectors = np.concatenate([found.train.vectors, found.test.vectors])
    given = pair_features(vectors[[ids.index(one)]], vectors[[ids.index(other)]])
    judges = read_judges((workspace.runs / "a/pairs/plain.json").read_text())
    return float(judges[judge].blend(given[None])[0, 1])


def test_each_pair_is_judged_by_networks_that_saw_none_of_it_where_there_are_such(
    embedded: Workspace,
) -> None:
    folds = Folds.read(embedded.runs / "a/folds.csv")
    first = [name for name, held in zip(folds.ids.tolist(), folds.oof_mask(0).tolist(), strict=True) if held]
    second = [name for name in folds.ids.tolist() if name not in first]
    wanted = [("060", "061"), (first[0], first[1]), (second[0], "065"), (first[0], second[0])]
    made = classify_pairs(embedded, "runs/a", asked(embedded.root, *wanted))
    both = [by_hand(embedded, "060", "061", fold, "test") for fold in (0, 1)]
    assert made.probabilities[0] == pytest.approx(np.mean(both))
    assert made.probabilities[1] == pytest.approx(by_hand(embedded, first[0], first[1], 0, "0"))
    assert made.probabilities[2] == pytest.approx(by_hand(embedded, second[0], "065", 1, "1"))
    assert made.probabilities[3] == pytest.approx(by_hand(embedded, first[0], second[0], 0, "0"))
    assert made.seen == 1


def test_a_share_moves_probabilities_and_the_threshold_alike(embedded: Workspace) -> None:
    file = asked(embedded.root, *[("060", f"{n:03d}") for n in range(61, 72)])
    even, rare = classify_pairs(embedded, "a", file), classify_pairs(embedded, "a", file, share=0.05)
    assert all(low < high for low, high in zip(rare.probabilities, even.probabilities, strict=True))
    assert [p >= even.threshold for p in even.probabilities] == [
        p >= rare.adjusted_threshold for p in rare.probabilities
    ]


def test_a_reranker_judges_held_out_rows_by_what_other_folds_taught(embedded: Workspace) -> None:
