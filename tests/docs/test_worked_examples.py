"""The worked examples in plugins/: what a team might have written, with numbers by hand."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.data.folds import make_folds
from kit.data.table import Table
from kit.errors import DataError, InvalidError
from kit.kinds import Classes, Ensembler, Loss, Splitter
from kit.stages.blending.blend import BlendResult, blend
from kit.stages.training.train import train
from tests.drawing import draw_competition
from tests.written_runs import competition, write_run

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "plugins").glob("*/*.py"))
CLASSES = Classes(("ant", "bee", "cat"))


def code_lines(tree: ast.Module) -> int:
    """Lines that hold code: no imports, docstrings, comments or blank lines."""
    for node in ast.walk(tree):
        body = getattr(node, "body", [])
        if isinstance(body, list):
            plain = [one for one in body if not isinstance(one, (ast.Import, ast.ImportFrom))]
            text = [one for one in plain if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)]
            node.body = [one for one in plain if one not in text] or [ast.Pass()]  # type: ignore[attr-defined]
    return len([line for line in ast.unparse(tree).splitlines() if line.strip()])


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_is_short_and_shows_its_command(file: Path) -> None:
    tree = ast.parse(file.read_text())
    assert f"{file.stem}" in (ast.get_docstring(tree) or "").split("Source:")[0]
    assert "\nkit " in (ast.get_docstring(tree) or "")
    assert code_lines(tree) < 40


# ------------------------------------------------------------------------------ confusion_smoothing


@pytest.fixture
def space(tmp_path: Path) -> Path:
    """A workspace with the worked examples in its plugins/, and a run `a` over nine rows of three classes."""
    root = competition(tmp_path).root
    (root / "plugins").symlink_to(ROOT / "plugins")
    return root


def opened(root: Path, **options: Any) -> Loss:
    return Loss.open({"name": "confusion_smoothing", **options}, root).with_classes(CLASSES)


def targets(loss: Loss) -> np.ndarray:
    """The target of each class: what the loss of each class weighs -log p with."""
    import torch

    outputs = torch.zeros(3, 3, requires_grad=True)
    rows = []
    for label in range(3):
        (gradients,) = torch.autograd.grad(loss.rows(outputs, torch.full((3,), label))[0], outputs)
        rows.append(1 / 3 - gradients[0].numpy())  # the gradient of cross-entropy is p - target
    return np.array(rows)


def test_mistakes_of_a_table_share_what_the_true_class_gives_up(space: Path) -> None:
    (space / "c.csv").write_text("class,cat,ant,bee\nbee,3,1,96\nant,10,80,10\ncat,5,0,0\n")
    loss_targets = targets(opened(space, confusions="c.csv", smoothing=0.2))
    expected = [[0.8, 0.1, 0.1], [0.05, 0.8, 0.15], [0.1, 0.1, 0.8]]  # a cat was never mistaken: evenly
    np.testing.assert_allclose(loss_targets, expected, atol=1e-6)


def test_every_target_sums_to_one_and_the_loss_is_its_cross_entropy(space: Path) -> None:
    import torch

    (space / "c.csv").write_text("class,ant,bee,cat\nant,8,2,0\nbee,1,9,0\ncat,3,1,6\n")
    loss = opened(space, confusions="c.csv", smoothing=0.4)
    loss_targets = targets(loss)
    np.testing.assert_allclose(loss_targets.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(loss_targets[2], [0.3, 0.1, 0.6], atol=1e-6)
    outputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 2, 0])
    soft = torch.nn.functional.cross_entropy(
        outputs, torch.from_numpy(loss_targets[labels.numpy()]).float(), reduction="none"
    )
    assert torch.allclose(loss.rows(outputs, labels), soft, atol=1e-6)


def test_without_confusions_it_smooths_evenly_over_the_others(space: Path) -> None:
    np.testing.assert_allclose(targets(opened(space, smoothing=0.3))[1], [0.15, 0.7, 0.15], atol=1e-6)


def test_a_run_gives_the_mean_out_of_fold_probabilities_of_each_class(space: Path) -> None:
    # of the three ants two are told with .8 ant .1 bee .1 cat, one with .8 bee .1 ant .1 cat
    write_run(space, "m", views="d4", wrong=[0])
    loss_targets = targets(opened(space, confusions="runs/m@d4", smoothing=0.1))
    np.testing.assert_allclose(loss_targets[0], [0.9, 0.1 * 1.0 / 1.3, 0.1 * 0.3 / 1.3], atol=1e-6)
    np.testing.assert_allclose(loss_targets[1], [0.05, 0.9, 0.05], atol=1e-6)


def test_what_is_missing_is_said(space: Path) -> None:
    with pytest.raises(DataError, match="no table"):
        targets(opened(space, confusions="none.csv"))
    with pytest.raises(InvalidError, match=r"no predictions at .*runs/none/predictions/plain"):
        targets(opened(space, confusions="runs/none"))
    (space / "c.csv").write_text("class,ant,bee\nant,8,2\nbee,1,9\ncat,3,1\n")
    with pytest.raises(DataError, match="lacks a row or a column of: cat") as caught:
        targets(opened(space, confusions="c.csv"))
    assert caught.value.code == "D32"


@pytest.mark.parametrize("cell", ["-1", "nan", "inf", "many", ""])
def test_a_cell_that_is_no_count_is_named(space: Path, cell: str) -> None:
    (space / "d.csv").write_text(f"class,ant,bee,cat\nant,8,2,0\nbee,1,9,{cell}\ncat,3,1,6\n")
    with pytest.raises(DataError, match=f"{cell!r} is no count or share"):
        targets(opened(space, confusions="d.csv"))


def test_its_documented_commands_work(tmp_path: Path) -> None:
    root = draw_competition(tmp_path / "space", epochs=1)
    (root / "plugins").symlink_to(ROOT / "plugins")
    train(root, name="first")
    run = train(root, ["loss=cutmix", "loss.base=confusion_smoothing", "loss.base.confusions=runs/first"])
    assert '"loss/confusion_smoothing"' in (run.folder / "manifest.json").read_text()


# ---------------------------------------------------------------------------------------- by_prefix


def test_rows_of_a_camera_share_a_fold() -> None:
    names = [f"cam{n % 6}_{n:03d}" for n in range(60)]
    rows = Table(np.array(names), tuple(Path("no") / n for n in names), ("a",), np.zeros(60, int))
    splitter = Splitter.open({"name": "by_prefix", "folds": 3}, ROOT)
    folds = make_folds(rows, splitter, 0)
    cameras = np.array([name.split("_")[0] for name in folds.ids.tolist()])
    assert [len(set(cameras[folds.oof_mask(fold)].tolist())) for fold in range(3)] == [2, 2, 2]
    assert all(len(set(folds.numbers[cameras == camera, 0])) == 1 for camera in set(cameras.tolist()))


# ------------------------------------------------------------------------------------------- median


def test_the_median_of_three_members_is_not_moved_by_one() -> None:
    members = np.array([[[0.6, 0.3, 0.1]], [[0.5, 0.3, 0.2]], [[0.0, 0.0, 1.0]]])
    medians = Ensembler.open("median", ROOT).blend(members)
    np.testing.assert_allclose(medians, [[0.5, 0.3, 0.2]], atol=1e-9)  # medians .5 .3 .2 sum to 1


def test_medians_are_brought_back_to_one_and_blend_by_name(space: Path) -> None:
    members = np.array([[[0.9, 0.1, 0.0]], [[0.1, 0.9, 0.0]], [[0.0, 0.0, 1.0]]])
    medians = Ensembler.open("median", ROOT).blend(members)
    np.testing.assert_allclose(medians, [[0.5, 0.5, 0.0]], atol=1e-9)  # medians .1 .1 0
    from kit.config.workspace import Workspace

    result = blend(Workspace.open(space), ["a", "b"], "median")
    assert isinstance(result, BlendResult)
    assert result.scores[-1].cv == 1
