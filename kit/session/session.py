"""Session: `kit.open(".")`, a competition with one method per command of the same name and options.

comp = kit.open(".")
run = comp.train("r", backbone="resnet18", epochs=20, optimizer={"lr": 1e-3})
comp.blend(comp.tta([run], views="hflip"))
"""

from __future__ import annotations

from kit.config.workspace import Workspace
from kit.core.files import StrPath
from kit.session.bench import BenchCommands
from kit.session.blending import BlendingMethods
from kit.session.board import BoardCommands
from kit.session.checks import CheckMethods
from kit.session.plot import PlotCommands
from kit.session.prediction import PredictionMethods
from kit.session.runs import RunsMethods
from kit.session.submission import SubmissionCommands
from kit.session.training import TrainingMethods


class Session(CheckMethods, TrainingMethods, PredictionMethods, BlendingMethods, RunsMethods):
    """A competition's folder, opened. Each method does what the command of its name does.

    Keywords that are keys of config.json change the config for one call. Each call reads config.json again.
    `progress=False` silences a call.
    """

    def __init__(self, folder: StrPath = ".") -> None:
        """Opens the workspace of a folder, or of the nearest folder above it that has a config.json.

        Raises ConfigError C06 if there is none.
        """
        super().__init__(Workspace.find(folder).root)

    def __repr__(self) -> str:
        return f"kit.open({str(self.folder)!r})"

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.startswith("_") or name.endswith("__")]

    @property
    def board(self) -> BoardCommands:
        """The ranking of submissions, and `board.score(7, 0.8123)`, `board.choose_final(2)` and others."""
        return BoardCommands(self.folder)

    @property
    def submission(self) -> SubmissionCommands:
        """`submission.check("mine.csv")` and `submission.upload_command(3)`."""
        return SubmissionCommands(self.folder)

    @property
    def plot(self) -> PlotCommands:
        """`plot.augment()`, `plot.lr()`, `plot.members([...])` and `plot.retrieve(...)`."""
        return PlotCommands(self.folder)

    @property
    def bench(self) -> BenchCommands:
        """`bench.network()` and `bench.loader()`, which time settings on this machine."""
        return BenchCommands(self.folder)


def open(folder: StrPath = ".") -> Session:  # noqa: A001 - as `kit.open`
    """Opens a competition: the folder of a config.json, or a folder inside it. Raises ConfigError C06 without one."""
    return Session(folder)
