"""What only a GPU shows; on machines without one these are left out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from kit.commands._menu import run
from kit.device import memory
from tests.drawing import draw_competition

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU, and KIT_GPU_TESTS=1")

NETWORK = ["backbone=timm", "backbone.arch=resnet18", "image_size=128", "cache_size=128", "precision=float32"]


@pytest.fixture
def competition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(draw_competition(tmp_path, train=256, device="cuda", epochs=1))
    return tmp_path


def test_a_fraction_of_the_gpu_s_memory_is_a_line_in_the_log(
    competition: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "kit.experiment.batch_size.SAFE_FACTOR", 0
    )  # no look ahead: the real error is to come
    device = torch.device("cuda")
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((memory.device_memory(device).taken + 700 * 2**20) / total)
    try:
        assert run(["train", "--name", "r", "batch_size=128", "--folds", "0", *NETWORK]) == 0
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    said = capsys.readouterr().err
    assert "R02 out of memory (" in said
    assert "at a time, which batch norm now uses for its statistics, the batch stays 128" in said


def test_the_peak_is_foretold_within_five_percent(
    competition: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["memory", "--batch-size", "128,32", "--json", *NETWORK]) == 0
    foretold = json.loads(capsys.readouterr().out)["sizes"][-1]["peak"]
    assert run(["memory", "--batch-size", "128", "--json", *NETWORK]) == 0
    measured = json.loads(capsys.readouterr().out)["measured"]["peak"]
    assert foretold == pytest.approx(measured, rel=0.05)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_run_trains_predicts_and_resumes_in_every_precision(
    competition: Path, precision: str, optimizer: str
) -> None:
    config = [
        f"precision={precision}",
        f"optimizer={optimizer}",
        "loss=cutmix",
        "save_every_steps=2",
        "epochs=2",
    ]
    assert run(["train", "--name", "r", *config]) == 0
    (competition / "runs/r/fold-0/oof.parquet").unlink()
    shutil.rmtree(competition / "runs/r/fold-0/0002")
    assert run(["train", "--name", "r", *config]) == 0  # the last epoch once more
    assert run(["tta", "--checkpoints", "runs/r", "--views", "hflip"]) == 0
    scores = json.loads((competition / "runs/r/fold-0/log.jsonl").read_text().splitlines()[-1])
    assert scores["train_loss"] > 0
