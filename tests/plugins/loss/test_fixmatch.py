"""FixMatch is the paper's formula, sees no held-out row, and resumes with the same views of the same test rows."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.core.stopping import Deadline, Stop
from kit.errors import ConfigError, DataError, KitError, StoppedError
from kit.experiment.fold_training import train_stages
from kit.experiment.run_context import RunContext, prepare_run
from kit.kinds import Loss
from kit.plugins.loss.fixmatch import Fixmatch
from kit.runs.run import Run
from kit.stages.training.fold import FoldDeadline
from kit.stages.training.train import train, train_run
from tests.drawing import draw_several
from tests.slow_steps import oof

CUTOFF = 0.6


def by_loop(outputs: torch.Tensor, labels: list[int], ratio: int, weight: float) -> float:
    """Equations 3 and 4 of the paper, row by row."""
    count = len(labels)
    own = sum(-float(outputs[row].log_softmax(0)[label]) for row, label in enumerate(labels)) / count
    total = 0.0
    for row in range(ratio * count):
        weak, strong = outputs[count + row].softmax(0), outputs[count + ratio * count + row]
        if float(weak.max()) >= CUTOFF:
            total += -float(strong.log_softmax(0)[int(weak.argmax())])
    return own + weight * total / (ratio * count)


@pytest.mark.parametrize("ratio", [1, 3])
@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_the_loss_is_the_papers(ratio: int, weight: float) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = [0, 2, 1, 1]
    outputs = 2 * torch.randn(4 * (1 + 2 * ratio), 3, generator=generator)
    row_labels = torch.tensor([*labels, *[-1] * (8 * ratio)], dtype=torch.float32)[:, None]
    loss = Fixmatch(threshold=CUTOFF, weight=weight, ratio=ratio)
    got = loss.rows(outputs, row_labels)
    assert got.shape == (len(outputs),)
    assert float(got.mean()) == pytest.approx(by_loop(outputs, labels, ratio, weight), rel=1e-5)
    confident = outputs[4 : 4 + 4 * ratio].softmax(1).amax(1) >= CUTOFF
    assert 0 < int(confident.sum()) < len(confident)


def test_no_gradient_flows_through_the_labels_of_weak_views() -> None:
    outputs = torch.randn(9, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)
    row_labels = torch.tensor([0, 1, 2, *[-1] * 6], dtype=torch.float32)[:, None]
    Fixmatch(threshold=0.0, ratio=1).rows(outputs, row_labels).mean().backward()
    assert outputs.grad is not None
    rows = outputs.grad.abs().sum(1)
    assert (rows[3:6] == 0).all()
    assert (rows[:3] > 0).all()
    assert (rows[6:] > 0).all()


def test_labelled_rows_alone_cost_what_the_base_says() -> None:
    outputs, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    assert torch.equal(Fixmatch().rows(outputs, labels), Loss.open("cross_entropy").rows(outputs, labels))


def setting_of(root: Path, *overrides: str) -> RunContext:
    workspace = Workspace.open(root, ["loss=fixmatch", *overrides])
    return finish(prepare_run(workspace, Run(workspace.runs / "r")))


def test_a_batch_has_both_views_of_test_rows_behind_its_own(competition: Path) -> None:
    setting = setting_of(competition, "loss.ratio=3", "loss.strong=flips", "augmenter=resize")
    (stage,) = train_stages(setting, 0)
    train_rows, seen = set(setting.training_rows(0).tolist()), list[int]()
    for batch in stage.batches.epoch(0):
        count = len(batch) // 7
        rows = batch.rows.numpy()
        own, weak, strong = rows[:count], rows[count : 4 * count], rows[4 * count :]
        assert set(own.tolist()) <= train_rows
        assert set(weak.tolist()) <= set(range(60, 72)), "test rows follow the training rows"
        assert (strong == weak + 12).all()
        assert batch.labels.shape == (len(batch), 1)
        np.testing.assert_array_equal(batch.labels[:count, 0], setting.loaded.table.targets()[own])
        ids = setting.ids
        assert (ids[weak] == ids[strong]).all()
        weak_images, strong_images = batch.images[count : 4 * count], batch.images[4 * count :]
        same = [bool((one == two).all()) for one, two in zip(weak_images, strong_images, strict=True)]
        mirrored = [
            bool((one == two.flip(-1)).all()) for one, two in zip(weak_images, strong_images, strict=True)
        ]
        assert all(one or two for one, two in zip(same, mirrored, strict=True)), "views of the same images"
        assert any(mirrored)
        seen += weak.tolist()
    assert len(seen) == 3 * len(train_rows)
    times = np.bincount(np.array(seen) - 60, minlength=12)
    assert times.max() - times.min() <= 1, "no test row comes again before all others have come"


def test_held_out_rows_change_nothing_that_a_fold_trains_on(competition: Path) -> None:
    """The networks of fold 0 are the same whatever the images of fold 0's held-out rows show."""
    overrides = ["loss=fixmatch", "loss.threshold=0", "epochs=1"]
    before = train(competition, overrides, name="before", folds=[0])
    held = before.folds().ids[before.folds().oof_mask(0)]
    for name in held.tolist():
        file = competition / "data/images" / f"{name}.png"
        cv2.imwrite(str(file), cv2.bitwise_not(cv2.imread(str(file))))
    after = train(competition, overrides, name="after", folds=[0])
    weights = [(run.fold(0) / "0001/model.safetensors").read_bytes() for run in (before, after)]
    assert weights[0] == weights[1]


def test_it_resumes_within_an_epoch_with_the_same_bits(
    competition: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = ["loss=fixmatch", "loss.threshold=0.3"]
    train(competition, overrides, name="whole")
    now, measure, stops = [0.0], FoldDeadline.end_step, 0

    def end_step(fold: FoldDeadline) -> None:
        now[0] += 1.0
        measure(fold)

    monkeypatch.setattr(FoldDeadline, "end_step", end_step)
    workspace = Workspace.open(competition, overrides)
    for _ in range(20):
        try:
            train_run(workspace, "r", stop=Stop(deadline=Deadline(6, lambda: now[0])))
            break
        except StoppedError:
            stops += 1
    assert stops > 1
    assert np.array_equal(oof(competition, "r"), oof(competition, "whole"))


def test_other_test_images_are_not_resumed_with(competition: Path) -> None:
    workspace = Workspace.open(competition, ["loss=fixmatch"])
    train_run(workspace, "r", [0])
    file = competition / "data/images/065.png"
    cv2.imwrite(str(file), cv2.bitwise_not(cv2.imread(str(file))))
    with pytest.raises(DataError, match=r"D60.*\n?") as caught:
        train_run(workspace, "r")
    assert any("unlabelled" in str(case) for case in caught.value.cases)


def test_the_logged_loss_is_the_sum_of_both_means(competition: Path) -> None:
    """Before training, each mean is about the logarithm of three classes."""
    plain = train(competition, ["epochs=1"], name="plain", folds=[0])
    both = train(competition, ["epochs=1", "loss=fixmatch", "loss.threshold=0"], name="both", folds=[0])
    logged = [
        json.loads((run.fold(0) / "log.jsonl").read_text().splitlines()[0])["train_loss"]
        for run in (plain, both)
    ]
    assert logged[1] - logged[0] == pytest.approx(math.log(3), abs=0.4)


@pytest.mark.parametrize(
    ("overrides", "problem", "hint"),
    [
        (["data.test=null", "data.sample=null"], "there are no test rows", "data.test=FILE"),
        (["loss.base=mixup"], "its base 'mixup' mixes images", "loss.base=cross_entropy"),
        (["loss=label_smoothing"], "", ""),
        (["batch_size=auto"], "batch_size is auto", "batch_size=16"),
        (["pseudo_labels=pseudo_labels/p"], "pseudo_labels gives labels to test rows", "pseudo_labels=null"),
        (["columns=concat", 'data.columns=["person"]'], "columns is set", "columns=null"),
        (["loss=cutmix", "loss.base=fixmatch"], "it is the base of 'cutmix'", "loss=fixmatch"),
    ],
)
def test_what_it_cannot_be_combined_with_is_refused(
    competition: Path, overrides: list[str], problem: str, hint: str
) -> None:
    if not problem:
        assert setting_of(competition, *overrides).unlabelled is None
        return
    with pytest.raises(ConfigError, match="C91 loss 'fixmatch' adds views of test rows") as caught:
        setting_of(competition, *overrides)
    assert problem in str(caught.value)
    assert caught.value.hint == hint


def test_rows_with_several_labels_are_refused(tmp_path: Path) -> None:
    root = draw_several(tmp_path / "several")
    with pytest.raises(KitError, match="C17.*fixmatch"):
        setting_of(root)
