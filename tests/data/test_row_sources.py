"""A format says which answer each row of the sample belongs to, and the rows to predict are the answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.config.workspace import Workspace
from kit.data.table import test_table
from tests.drawing import draw_competition

OF_A_WORKSPACE = '''
"""A row per eye of a patient: `7_left` and `7_right` are parts of the answer `7`."""

from kit.kinds import Format


class Eyes(Format):
    """Two rows an answer."""

    def matches(self, sample, classes):
        return all(name.endswith(("_left", "_right")) for name in sample.iloc[:, 0])

    def ids(self, sample, classes):
        return [name.rpartition("_")[0] for name in sample.iloc[:, 0]]

    def write(self, predictions, sample):
        raise NotImplementedError
'''


@pytest.mark.parametrize("overrides", [(), ("format=eyes",)])
def test_the_rows_to_predict_are_the_answers_of_the_format(
    overrides: tuple[str, ...], tmp_path: Path
) -> None:
    draw_competition(tmp_path)
    workspace = Workspace.open(tmp_path)
    sample = tmp_path / str(workspace.competition.data.sample)
    plain = [line.split(",")[0] for line in sample.read_text().splitlines()[1:]]
    file = tmp_path / "plugins/format/eyes.py"
    file.parent.mkdir(parents=True)
    file.write_text(OF_A_WORKSPACE)
    rows = [f"{name}_{side},0" for side in ("right", "left") for name in plain]
    sample.write_text("\n".join(["id,label", *rows, ""]))
    assert test_table(Workspace.open(tmp_path, overrides)).ids.tolist() == plain
