"""The notebooks of docs/ run from a fresh kernel, and are committed without outputs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

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


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: str(file.stem))
def test_a_notebook_is_committed_without_outputs(file: Path) -> None:
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def test_quickstart_runs_and_shows_tables_and_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = nbformat.read(ROOT / "docs" / "notebooks" / "quickstart.ipynb", as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(SMALL))
    assert "EPOCHS = 8" in notebook.cells[2].source
    notebook.cells[2].source = notebook.cells[2].source.replace("EPOCHS = 8", "EPOCHS = 1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / ".ipython"))
    nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute(env=os.environ.copy())
    shown: list[dict[str, Any]] = [
        one.get("data", {}) for cell in notebook.cells if cell.cell_type == "code" for one in cell.outputs
    ]
    pages = [data["text/html"] for data in shown if "text/html" in data]
    assert sum("<img" in page for page in pages) == 3
    assert sum("<table" in page for page in pages) >= 7
    log = "".join(one.text for cell in notebook.cells for one in cell.get("outputs", ()) if "text" in one)
    assert len(log.splitlines()) < 200
    assert list((tmp_path / "digits" / "submissions").glob("0001-*.csv"))
