"""kit runs: sorted by what one asks for, and two of them compared: what differs, and what it brought."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import recall_score

from kit.config.origins import flatten
from kit.config.workspace import Workspace
from kit.runs.diff import compare_runs
from kit.runs.run import Run
from kit.stages.training.train import train
from tests.conftest import Kit
from tests.stages.training.test_train import oof
from tests.written_runs import competition as written


@pytest.fixture(scope="module")
def two(trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with `a` and a second run of another loss, size of batch and seed."""
    root = Path(shutil.copytree(trained_once, tmp_path_factory.mktemp("two") / "space"))
    train(root, ["loss=focal", "loss.gamma=1.5", "batch_size=10", "seed=3"], name="other")
    return root


@pytest.fixture
def workspace(two: Path) -> Workspace:
    return Workspace.open(two)


def test_configs_are_compared_by_dotted_key_and_a_plugin_by_its_name(workspace: Workspace) -> None:
    comparison = compare_runs(workspace, Run(workspace.runs / "a"), Run(workspace.runs / "other"))
    assert comparison.config == {
        "loss": ("cross_entropy", "focal"),
        "loss.gamma": (None, 1.5),
        "batch_size": (8, 10),
        "seed": (0, 3),
    }
    assert set(comparison.provenance) == {"plugins.loss/cross_entropy", "plugins.loss/focal"}
    assert comparison.provenance["plugins.loss/focal"][0] is None
    assert all(one.seconds and one.images_per_second for one in comparison.spent)


def test_nested_options_keep_their_path() -> None:
    spec = {"name": "cutmix", "alpha": 1.0, "base": {"name": "arcface", "scale": 30}}
    assert flatten({"loss": spec, "lr_scales": {}, "stages": []}) == {
        "loss": "cutmix",
        "loss.alpha": 1.0,
        "loss.base": "arcface",
        "loss.base.scale": 30,
        "lr_scales": {},
        "stages": [],
    }


def test_classes_that_moved_most_come_first_by_their_recall(workspace: Workspace) -> None:
    from kit.stages.blending.members import labels

    comparison = compare_runs(workspace, Run(workspace.runs / "a"), Run(workspace.runs / "other")).compared
    assert comparison is not None
    table = labels(workspace)
    before, after = (oof(workspace.root, name) for name in ("a", "other"))
    truth = table.take(table.index_of(before.ids)).targets()
    recalls = [
        recall_score(truth, one.align(before.ids).argmax(1), average=None, zero_division=0)
        for one in (before, after)
    ]
    assert {one.name for one in comparison.classes} == set(table.classes)
    for one in comparison.classes:
        at = table.classes.index(one.name)
        assert [one.one, one.other] == pytest.approx([recalls[0][at], recalls[1][at]])
    sizes = [abs(one.other - one.one) for one in comparison.classes]
    assert sizes == sorted(sizes, reverse=True)
    assert (comparison.one, comparison.other) == (
        before.provenance.require_scores()["macro_f1"],
        after.provenance.require_scores()["macro_f1"],
    )
    assert comparison.gain.value == pytest.approx(comparison.other - comparison.one)


def test_the_gain_is_that_of_the_second_on_the_rows_that_both_predict(tmp_path: Path) -> None:
    space = written(tmp_path)  # b is wrong in row 4 of nine, a nowhere
    for name in ("a", "b"):
        (space.runs / name / "config.json").write_text("{}")
    comparison = compare_runs(space, Run(space.runs / "b"), Run(space.runs / "a")).compared
    assert comparison is not None
    assert (comparison.rows, comparison.other) == (9, 1.0)
    assert comparison.one == pytest.approx(8 / 9)
    assert comparison.gain.value == pytest.approx(1 / 9)
    assert comparison.gain.low == 0.0
    assert [(one.name, one.rows) for one in comparison.classes[:1]] == [("bee", 3)]
    assert [comparison.classes[0].one, comparison.classes[0].other] == pytest.approx([2 / 3, 1.0])


def test_runs_without_rows_in_common_say_so(workspace: Workspace, tmp_path: Path) -> None:
    fresh = Run(tmp_path / "fresh")
    fresh.folder.mkdir()
    (fresh.folder / "config.json").write_text("{}")
    comparison = compare_runs(workspace, Run(workspace.runs / "a"), fresh)
    assert comparison.compared is None
    assert comparison.why == "runs/fresh has no out-of-fold predictions yet"
    assert comparison.spent[1].seconds is None


def test_the_command_tells_keys_scores_classes_and_time(workspace: Workspace, kit: Kit) -> None:
    status, out, _ = kit("runs", "diff", "a", "runs/other")
    assert status == 0
    rows = {line.split("  ")[0]: line.split() for line in out.splitlines()}
    assert rows["batch_size"] == ["batch_size", "8", "10"]
    assert rows["loss.gamma"] == ["loss.gamma", "-", "1.5"]
    assert rows["macro_f1"][1] == f"{oof(workspace.root, 'a').provenance.require_scores()['macro_f1']:.4f}"
    assert "macro_f1 of other over a on 60 common rows: " in out
    assert "rows predicted correctly, then" in out
    shown = json.loads(kit("runs", "diff", "a", "other", "--json")[1])
    assert shown["config"]["seed"] == [0, 3]
    assert np.isfinite(shown["compared"]["gain"]["low"])
    assert "no differences" in kit("runs", "diff", "a", "a")[1]


def test_runs_are_sorted_the_best_first(workspace: Workspace, kit: Kit) -> None:
    def names(*words: str) -> list[str]:
        status, out, _ = kit("runs", *words)
        assert status == 0
        return [line.split()[0] for line in out.splitlines()[1:]]

    scores = {name: oof(workspace.root, name).provenance.require_scores() for name in ("a", "other")}
    assert names() == names("ls") == ["a", "other"]
    assert names("--sort", "macro_f1") == sorted(scores, key=lambda name: -scores[name]["macro_f1"])
    assert names("ls", "--sort", "log_loss") == sorted(scores, key=lambda name: scores[name]["log_loss"])
    assert names("--sort", "started") == ["a", "other"]
    status, _, said = kit("runs", "--sort", "macro_f")
    assert status == 2
    assert "C05 runs have no 'macro_f' to sort by; did you mean 'macro_f1'?" in said
