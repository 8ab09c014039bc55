"""compile=true: compiled steps, plain weights and predictions; a quick backend stands in for the compiler."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from kit.commands._menu import run
from kit.device import compiling
from kit.device.compiling import check_compiler, compile_training
from kit.device.precision import Precision
from kit.device.torch_internals import is_compiled
from kit.errors import ConfigError
from kit.model import predict
from kit.stages.training.train import train
from tests.drawing import draw_competition


@pytest.fixture(autouse=True)
def backend(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """A backend that runs what was traced as it is, and notes the shape of each graph's batch."""
    shapes: list[torch.Size] = []

    def noting(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., object]:
        shapes.extend(value.shape for value in inputs if value.dim() == 4 and value.shape[1:] == (3, 16, 16))
        return graph.forward

    monkeypatch.setattr(compiling, "BACKEND", noting)
    torch._dynamo.reset()
    return shapes


def test_a_compiled_run_has_the_plain_runs_weights_and_a_graph_for_each_size(
    tmp_path: Path, backend: list[torch.Size]
) -> None:
    weights = []
    for name in ("plain", "compiled"):
        root = draw_competition(tmp_path / name, compile=name == "compiled", epochs=1, batch_size=8)
        finished_run = train(root, name="r", folds=[0])
        weights.append(load_file(finished_run.fold(0) / "0001" / "model.safetensors"))
    plain, compiled = weights
    assert plain.keys() == compiled.keys()
    assert all(torch.equal(plain[key], compiled[key]) for key in plain)
    assert {shape[0] for shape in backend} == {7, 8}  # 30 rows in 4 batches


def test_a_copy_of_a_compiled_network_is_plain_and_so_is_what_predicts() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3))
    names = list(network.state_dict())
    compile_training(network)
    assert is_compiled(network)
    assert list(network.state_dict()) == names
    for dtype in ("float32", "bfloat16"):
        shown = predict.for_predicting(network, Precision(dtype, dtype, "contiguous"), 8)
        assert not is_compiled(shown)
        assert shown is not network


def test_a_missing_compiler_is_said_before_anything_is_read(
    competition: Path,
    inside: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from torch._inductor import cpp_builder, exc

    def missing() -> str:
        raise exc.InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", missing)
    inside(competition)
    assert run(["train", "--name", "r", "compile=true"]) == 2
    assert "C27 compile=true needs a C++ compiler" in capsys.readouterr().err
    assert not (competition / "runs" / "r" / "config.json").exists()
    with pytest.raises(ConfigError, match="C27"):
        check_compiler(torch.device("cpu"))


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("triton", "needs Triton on a GPU"),
        ("capability", "needs a GPU of compute capability 7.0 or more"),
        ("compiler", "needs a C compiler on a GPU"),
        ("nothing", ""),
    ],
)
def test_what_triton_needs_on_a_gpu_is_checked(
    monkeypatch: pytest.MonkeyPatch, missing: str, said: str
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(compiling, "find_spec", lambda name: None if missing == "triton" else object())
    capability = (6, 1) if missing == "capability" else (7, 5)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(
        "shutil.which", lambda name: "/usr/bin/gcc" if name == "gcc" and missing != "compiler" else None
    )
    if said:
        with pytest.raises(ConfigError, match=f"C27 compile=true {said}"):
            check_compiler(torch.device("cuda"))
        monkeypatch.setenv("CC", "/opt/cc")
        if missing == "compiler":
            check_compiler(torch.device("cuda"))
    else:
        check_compiler(torch.device("cuda"))


def test_a_batch_that_is_mixed_or_not_needs_one_graph_for_its_shape(
    tmp_path: Path, backend: list[torch.Size]
) -> None:
    loss = {"name": "mixup", "probability": 0.5}  # mixed images are float32, others bytes
    weights = []
    for name in ("plain", "compiled"):
        options: dict[str, Any] = {"compile": name == "compiled", "epochs": 3, "batch_size": 8, "loss": loss}
        finished_run = train(draw_competition(tmp_path / name, **options), name="r", folds=[0])
        weights.append(load_file(finished_run.fold(0) / "0003" / "model.safetensors"))
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert sorted(shape[0] for shape in backend) == [7, 8]


def test_a_dry_run_says_what_compiling_costs(
    competition: Path,
    inside: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
    backend: list[torch.Size],
) -> None:
    inside(competition)
    assert run(["train", "--dry-run", "compile=true"]) == 0
    assert "kit bench network --compile" in capsys.readouterr().out
    assert not backend
