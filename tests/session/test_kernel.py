"""A real kernel: what a notebook shows, saves and leaves behind when it works with kit."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.stages.training.train import train
from tests.drawing import draw_competition
from tests.kernel import TestKernel, children, is_alive, kill

pytest.importorskip("ipykernel")
WEIGHTS = ("fold-0/0002/model.safetensors", "fold-0/0002/ema.safetensors", "fold-1/0002/model.safetensors")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A competition, whose run `here` is trained in this process as the command trains it."""
    root = draw_competition(tmp_path_factory.mktemp("kernel") / "space")
    train(root, name="here")
    return root


@pytest.fixture(scope="module")
def kernel(root: Path) -> Iterator[TestKernel]:
    """A kernel in which the competition is open as `comp`."""
    kernel = TestKernel(root)
    try:
        first = kernel.run(
            "import time; start = time.perf_counter(); import kit; spent = time.perf_counter() - start\n"
            "comp = kit.open('.')\nspent"
        )
        assert float(first.value["text/plain"]) < 1
        yield kernel
    finally:
        kernel.end()


def workers(kernel: TestKernel) -> set[int]:
    """The kernel's children but for multiprocessing's tracker, which ends with the kernel."""
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children(kernel.pid)}
    return {pid for pid, command in commands.items() if b"resource_tracker" not in command}


def test_training_in_a_kernel_gives_the_bits_of_the_command(kernel: TestKernel, root: Path) -> None:
    cell = kernel.run("comp.train('there')")
    assert not cell.error
    for file in WEIGHTS:
        assert (root / "runs/there" / file).read_bytes() == (root / "runs/here" / file).read_bytes()


def test_a_saved_log_has_lines_without_control_characters(kernel: TestKernel) -> None:
    cell = kernel.run("comp.train('log', folds=[0])")
    lines = cell.out.splitlines()
    assert sum("epoch" in line for line in lines) == 2
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", cell.out)
    assert (cell.err, cell.displays) == ("", [])
    assert cell.value["text/plain"].startswith("runs/log: 1 fold trained\nout of fold: macro_f1")
    assert "<table" in cell.value["text/html"]


def test_a_person_sees_a_bar_and_the_lines(kernel: TestKernel) -> None:
    cell = kernel.run("comp.train('bar', folds=[0])", watched=True)
    assert "application/vnd.jupyter.widget-view+json" in cell.displays[0]
    assert any("train" in bar["text/plain"] and "%" in bar["text/plain"] for bar in cell.displays[1:])
    assert sum("epoch" in line for line in cell.out.splitlines()) == 2
    assert kernel.run("comp.train('bar', folds=[0], progress=False)", watched=True).displays == []


def test_an_error_is_its_message_without_a_stack(kernel: TestKernel) -> None:
    cell = kernel.run("comp.train('x', epoch=3)")
    assert cell.error_name == "ConfigError"
    (text,) = cell.error
    assert text.startswith("ConfigError: C01 no option or config key 'epoch'; did you mean 'epochs'?\ntry: ")
    assert kernel.run("1 / 0").error_name == "ZeroDivisionError"
    assert len(kernel.run("def f(): return 1 / 0\nf()").error) > 1


def test_tab_completes_methods_and_keys(kernel: TestKernel) -> None:
    assert "train" in str(kernel.complete("comp.tr"))
    assert any("epochs=" in match for match in kernel.complete("comp.train('x', epo"))
    assert "score" in str(kernel.complete("comp.board.sc"))


def test_loaders_and_workers_end_with_the_cell(kernel: TestKernel, root: Path) -> None:
    assert not kernel.run("comp.train('loaders', workers=1)").error
    assert not workers(kernel)
    executor = "{'name': 'processes', 'workers': 1, 'threads': 1}"
    assert not kernel.run(f"comp.train('processes', folds=[0], executor={executor})").error
    assert not workers(kernel)
    for name in ("loaders", "processes"):
        for file in WEIGHTS[:2]:
            assert (root / "runs" / name / file).read_bytes() == (root / "runs/here" / file).read_bytes()


def test_the_stop_button_saves_and_the_same_cell_continues(kernel: TestKernel, root: Path) -> None:
    def stop() -> None:
        while not list((root / "runs/stopped/fold-0").glob("0001/manifest.json")):
            time.sleep(0.01)
        kernel.interrupt()

    code = "comp.train('stopped', folds=[0], workers=1, epochs=4, save_every=1)"
    cell = kernel.run(code, meanwhile=stop)
    assert cell.error_name == "Interrupted"
    (text,) = cell.error
    assert text.startswith("Interrupted: R05 stopped after fold 0 epoch")
    assert "stopping after this step" in cell.out
    assert not workers(kernel)
    assert not kernel.run(code).error
    assert not kernel.run("comp.train('whole', folds=[0], epochs=4)").error
    file = "fold-0/0004/model.safetensors"
    assert (root / "runs/stopped" / file).read_bytes() == (root / "runs/whole" / file).read_bytes()


def test_a_killed_kernel_leaves_no_loader(kernel: TestKernel, root: Path) -> None:
    """The last test of this file, as it ends the kernel."""
    kernel.client.execute("comp.train('killed', workers=1, epochs=2000, save_every=1)")
    while not list((root / "runs/killed/fold-0").glob("*/manifest.json")):
        time.sleep(0.01)
    left = workers(kernel)
    assert left
    kill(kernel.pid)
    end = time.monotonic() + 30
    while any(map(is_alive, left)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(map(is_alive, left))
