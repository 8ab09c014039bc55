"""kit check --pipeline: each planted fault is named by its own finding, and what is well is left alone."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.kinds import Loss
from kit.kinds.registry import locations
from kit.model.weight_averaging import Ema
from kit.stages.checks.finding import Finding
from kit.stages.checks.one_batch import overfitting
from kit.stages.checks.one_batch.trial import SanityCheckResult, sanity_check
from kit.stages.demo.digits import DEMO_CONFIG
from tests.drawing import draw_competition, draw_several
from tests.stages.checks.one_batch.planted import plant

LOSSES = list(locations("loss", None))
GROUPS = (
    "data.class_list=classes.csv",
    "data.superclasses=group",
    'data.label_parts=["a","b"]',
    "data.parents=group",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn competition whose plugins are full of faults; all of these tests share its cache."""
    folder = draw_competition(tmp_path_factory.mktemp("pipeline") / "space", image_size=24, cache_size=24)
    (folder / "classes.csv").write_text("label,group,a,b\nblob,x,p,u\ncross,y,p,v\nring,x,q,u\n")
    plant(folder)
    return folder


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same where a row has several labels, or none."""
    return draw_several(tmp_path_factory.mktemp("several") / "space", image_size=24, cache_size=24)


def tried(root: Path, *overrides: str) -> SanityCheckResult:
    return sanity_check(Workspace.find(root, list(overrides)))


def codes(root: Path, *overrides: str) -> dict[str, Finding]:
    return {finding.code: finding for finding in tried(root, *overrides).findings}


# ------------------------------------------------------------------------------------------- no false alarm


# the demo's objects are whole specs, and reset this workspace's options
@pytest.mark.filterwarnings("ignore:W60")
def test_the_demos_config_learns_one_batch_and_nothing_is_found(root: Path) -> None:
    kept = ("augmenter", "backbone", "loss", "optimizer", "epochs", "ema_decay")
    result = tried(root, *(f"{key}={json.dumps(DEMO_CONFIG[key])}" for key in kept))
    assert result.findings == ()
    assert result.right == len(result.rows) == 8
    assert result.guessing_loss == pytest.approx(math.log(3), abs=1e-4)
    # the least of label smoothing is the entropy of its target: 1 - e + e/3 and twice e/3
    target = (1 - 0.05 + 0.05 / 3, 0.05 / 3, 0.05 / 3)
    assert result.least_loss == pytest.approx(-sum(p * math.log(p) for p in target), abs=1e-3)
    assert result.last_loss < result.start_loss


@pytest.mark.parametrize(
    "name",
    # without those that need a column of weights
    [n for n in LOSSES if Loss.open(n).takes_labels("class_index") and not Loss.open(n).weighs_rows],
)
def test_every_loss_of_one_label_passes(root: Path, name: str) -> None:
    assert codes(root, f"loss={name}", *GROUPS) == {}


@pytest.mark.parametrize("name", [name for name in LOSSES if Loss.open(name).takes_labels("multi_hot")])
def test_every_loss_of_several_labels_passes(several: Path, name: str) -> None:
    assert codes(several, f"loss={name}") == {}


@pytest.mark.parametrize(
    "overrides",
    [
        "backbone=timm backbone.arch=test_resnet",
        "backbone=timm backbone.arch=test_vit2 backbone.img_size=32 image_size=32 layer_decay=0.7",
        "backbone=timm backbone.arch=test_efficientnet optimizer=sgd optimizer.lr=0.1",
        "pooling=gem loss=cutmix loss.base=arcface loss.base.base=label_smoothing head=sub_centre",
        "head=multi_sample ema_decay=0 swa_start=0.5 clip_grad_norm=1",
        "loss=cutmix loss.base=label_smoothing loss.base.smoothing=0.3 ema_decay=0.9999",
        "optimizer.lr=0.0001 epochs=400",
        'stages=[{"epochs":1,"freeze":["backbone"]},{"epochs":1}]',
    ],
)
def test_what_is_well_passes(root: Path, overrides: str) -> None:
    assert codes(root, *overrides.split(" ")) == {}


# -------------------------------------------------------------------------------------------- each its fault


@pytest.mark.parametrize(
    ("overrides", "code", "said"),
    [
        ("augmenter=black", "K20", "augmenter 'black' makes 16 of 16 images of one colour"),
        ("augmenter=one_picture", "K20", "makes 15 of 16 images the same image"),
        ("loss=next_label", "K21", "the minimum of loss 'next_label' predicts 8 of 8 rows wrongly"),
        ("head=loud", "K22", "but 1.099 for equal outputs (3 classes)"),
        ("backbone=blind", "K23", "the same outputs for every image"),
        ("backbone=overflowing", "K31", "not finite before it is trained: layer backbone.2 (Overflow) gives"),
        ("loss=constant", "K24", "loss 'constant' is 1 for all outputs"),
        ("loss=flat", "K24", "loss 'flat' is 2 for all outputs"),
        ("loss=not_a_number", "K24", "loss 'not_a_number' is nan"),
        ("loss=cutmix loss.base=flat", "K24", "loss 'cutmix' is 2 for all outputs"),
        ("optimizer=idle", "K25", "is set: backbone, head"),
        ("optimizer=head_alone", "K25", "is set: backbone"),
        ("backbone=detached", "K25", "is set: backbone"),
        ("lr_scales.backbone=1e-9", "K25", "is set: backbone"),
        ("lr_scales.backbone=1e-9 lr_scales.head=1e-9", "K25", "is set: backbone, head"),
        ("optimizer.lr=1e-9", "K26", "the learning rate 1e-09 is too low"),
        ("optimizer.lr=1000", "K26", "the learning rate 1e+03 is too high"),
        ("backbone=one_bit", "K27", "80 steps over 8 images"),
        ("augmenter=global_draws", "K29", "returns different images for the same random numbers"),
        ("optimizer=forgetful", "K29", "one step after a checkpoint"),
    ],
)
def test_a_fault_is_named_by_its_own_finding(root: Path, overrides: str, code: str, said: str) -> None:
    findings = codes(root, "precision=float32", *overrides.split(" "))
    assert code in findings, findings
    assert said in findings[code].summary
    assert findings[code].level in ("problem", "warning")
    allowed = {code, "K26", "K27"} if code == "K22" else {code}
    assert set(findings) <= allowed


def test_an_augmenter_that_changes_nothing_from_epoch_to_epoch_is_a_note(root: Path) -> None:
    for name in ("stale", "resize"):
        finding = codes(root, f"augmenter={name}")["K20"]
        assert finding.level == "note"
        assert finding.summary == f"augmenter {name!r} returns the same image in each epoch"


def test_an_average_that_stays_where_it_was_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ema, "after_step", lambda self, step: None)
    finding = codes(root)["K28"]
    assert "the averaged weights have moved 0.0% of the way" in finding.summary


def test_wrong_labels_name_the_row_its_label_and_what_the_loss_takes_it_for(root: Path) -> None:
    case = codes(root, "loss=next_label")["K21"].cases[0]
    assert (case.id, case.detail) == ("000", "blob, but the loss is lowest for cross")


def test_a_rate_that_only_the_run_is_too_short_for_is_a_warning(root: Path) -> None:
    finding = codes(root, "optimizer.lr=0.00005", "epochs=40")["K26"]
    assert finding.level == "warning"
    assert "the run has 80" in finding.effect


def test_a_network_too_slow_to_tell_is_a_note(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overfitting, "SECONDS", 0.0)
    assert codes(root, "optimizer.lr=1e-9")["K27"].level == "note"


def test_the_batch_has_different_images_of_all_classes(root: Path) -> None:
    result = tried(root)
    assert len(set(result.rows)) == 8
    assert {int(name) % 3 for name in result.rows} == {0, 1, 2}


def test_it_writes_nothing_into_runs_and_its_status_is_for_scripts(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root)
    assert run(["check", "--pipeline"]) == 0
    assert (
        "predicted correctly       8 of 8\nreading, augmenting, training and resuming work"
        in capsys.readouterr().out
    )
    assert run(["check", "--pipeline", "optimizer=idle"]) == 3
    assert "K25 problem" in capsys.readouterr().out
    assert run(["check", "--pipeline", "head=loud"]) in (0, 3)
    assert run(["check", "--pipeline", "--strict", "head=loud"]) == 3
    capsys.readouterr()
    assert run(["check", "--pipeline", "--json", "loss=constant"]) == 3
    shown = json.loads(capsys.readouterr().out)
    assert "K24" in {finding["code"] for finding in shown["findings"]}
    assert not (root / "runs").exists()
