"""The notebooks of docs/ run from a fresh kernel, and are committed without outputs."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from kit.data.predictions import Predictions
from tests.drawing import CLASSES, draw
from tests.kernel import ROOT

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
# fewer scans, a smaller network and fewer epochs than a reader has
SMALL = """
from sklearn import datasets
from sklearn.utils import Bunch
from kit.stages.demo import digits

_digits = datasets.load_digits()
datasets.load_digits = lambda: Bunch(images=_digits.images[:120], target=_digits.target[:120])
digits.DEMO_CONFIG.update({
    "image_size": 16, "cache_size": 20, "batch_size": 16,
    "splitter": {"name": "stratified_kfold", "folds": 2},
    "backbone": {"name": "small", "width": 4, "stages": 2},
})
"""
# the same for a competition of drawn shapes
SMALL_FINETUNE = """
import json
from pathlib import Path

config = json.loads(Path("config.json").read_text())
config.update(image_size=32, cache_size=32, epochs=1, batch_size=16, workers=0)
config["splitter"] = {"name": "stratified_kfold", "folds": 2}
Path("config.json").write_text(json.dumps(config))
"""
# the output of the first notebook is a read-only input of the second, which has an empty folder and no names
NEXT_NOTEBOOK = """
import os

os.rename("/kaggle/working", "/kaggle/input/finetune")
for folder, _, files in os.walk("/kaggle/input/finetune"):
    for name in files:
        os.chmod(os.path.join(folder, name), 0o444)
    os.chmod(folder, 0o555)
os.mkdir("/kaggle/working")
os.chdir("/kaggle/working")
%reset -f
"""


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: str(file.stem))
def test_a_notebook_is_committed_without_outputs(file: Path) -> None:
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def read(name: str) -> Any:
    return nbformat.read(ROOT / "docs" / "notebooks" / f"{name}.ipynb", as_version=4)


def execute(notebook: Any, folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the cells in a fresh kernel whose `kit` and `python` are those of the tests."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.setenv("IPYTHONDIR", str(home / ".ipython"))
    nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute(env=os.environ.copy())


def printed(notebook: Any) -> str:
    return "".join(one.text for cell in notebook.cells for one in cell.get("outputs", ()) if "text" in one)


def test_quickstart_runs_and_shows_tables_and_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = read("quickstart")
    notebook.cells.insert(0, nbformat.v4.new_code_cell(SMALL))
    assert "EPOCHS = 8" in notebook.cells[2].source
    notebook.cells[2].source = notebook.cells[2].source.replace("EPOCHS = 8", "EPOCHS = 1")
    execute(notebook, tmp_path, tmp_path, monkeypatch)
    shown: list[dict[str, Any]] = [
        one.get("data", {}) for cell in notebook.cells if cell.cell_type == "code" for one in cell.outputs
    ]
    pages = [data["text/html"] for data in shown if "text/html" in data]
    assert sum("<img" in page for page in pages) == 3
    assert sum("<table" in page for page in pages) >= 7
    assert len(printed(notebook).splitlines()) < 200
    assert list((tmp_path / "digits" / "submissions").glob("0001-*.csv"))


# ------------------------------------------------------------------------- two notebooks in the folders of Kaggle


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Kaggle's folders with a competition and a weights file attached; the input folder is read-only."""
    import torch
    from safetensors.torch import save_file

    from kit.device.torch_internals import import_timm

    root = tmp_path / "kaggle"
    (root / "working").mkdir(parents=True)
    competition, rng = root / "input" / "competitions" / "my-competition", np.random.default_rng(0)
    rows = [(f"{number:03d}", CLASSES[number % 3]) for number in range(48)]
    for part, some in (("train", rows[:36]), ("test", rows[36:])):
        (competition / part).mkdir(parents=True)
        for name, label in some:
            cv2.imwrite(str(competition / part / f"{name}.png"), draw(label, rng, 32))
    lines = [f"{name},{label}\n" for name, label in rows[:36]]
    (competition / "train.csv").write_text("id,label\n" + "".join(lines))
    lines = [f"{name},blob\n" for name, _ in rows[36:]]
    (competition / "sample_submission.csv").write_text("id,label\n" + "".join(lines))
    (root / "input" / "my-weights").mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = import_timm().create_model("test_resnet")
    save_file(network.state_dict(), root / "input" / "my-weights" / "model.safetensors")
    for path in (root / "input").rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    monkeypatch.setenv("KIT_KAGGLE", str(root))
    monkeypatch.delenv("KIT_CACHE", raising=False)
    return root


def run_in_kernel(source: str) -> str:
    """A cell that runs the commands of kit of a bash cell in the kernel, which has imported torch already."""
    lines = source.removeprefix("%%bash\n").splitlines()
    calls = [f"assert run({shlex.split(line)[1:]!r}) == 0" for line in lines]
    return "\n".join(["from kit.commands._menu import run", *calls])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_first_notebook_trains_and_the_second_imports_it_and_predicts_offline(
    kaggle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = read("finetune"), read("code_competition")
    first.cells.insert(2, nbformat.v4.new_code_cell(SMALL_FINETUNE))
    moved = nbformat.v4.new_code_cell(NEXT_NOTEBOOK)
    cells = [*first.cells, moved, *second.cells]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number:02d}"
        cell.source = cell.source.replace("/kaggle/", f"{kaggle}/")
        if cell.source.startswith("%%bash\nkit "):
            cell.source = run_in_kernel(cell.source)
    whole = nbformat.v4.new_notebook(metadata=first.metadata, cells=cells)
    attached = contents(kaggle / "input")
    execute(whole, kaggle / "working", kaggle.parent, monkeypatch)
    earlier, later = kaggle / "input" / "finetune", kaggle / "working"
    now = contents(kaggle / "input")
    assert {path: now[path] for path in now if not Path(path).is_relative_to(earlier)} == attached
    submitted = (earlier / "submissions" / "0001-mean-r.csv").read_bytes()
    assert len(submitted.splitlines()) == 13
    assert (later / "submission.csv").read_bytes() == submitted
    offline, online = (
        Predictions.read(folder / "runs" / "r" / "predictions" / "hflip" / "test.parquet")
        for folder in (later / "kit-work", earlier)
    )
    # on one machine the bits are the same
    assert np.array_equal(offline.probabilities, online.probabilities)
    assert len(np.unique(online.probabilities)) > 3
    assert (later / "bundle-notebook" / "kernel-metadata.json").is_file()
    log = printed(whole)
    assert "s per image on cpu" in log
    assert len(log.splitlines()) < 200


def test_fine_tuning_from_an_attached_data_set_takes_ten_lines() -> None:
    lines = [
        line
        for cell in read("finetune").cells
        if cell.cell_type == "code"
        for line in cell.source.splitlines()
    ]
    assert len([line for line in lines if line.strip()]) <= 10
