"""Bundling: packs a bundle, tries it, and writes its notebook, as requested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.durations import parse_duration
from kit.core.files import StrPath, format_bytes
from kit.core.progress import Progress, Work, stage
from kit.stages.bundles.notebook import KaggleNotebook, check_notebook, write_notebook
from kit.stages.bundles.packing import Bundle, bundle
from kit.stages.bundles.timing import PredictionTime, measure_prediction_time
from kit.stages.bundles.trying import BundleTrial, try_bundle

if TYPE_CHECKING:
    import pandas as pd

TASK = "bundle"


@dataclass(frozen=True, kw_only=True)
class NotebookRequest:
    """A Kaggle notebook for a bundle: the user's name on Kaggle, by default KAGGLE_USERNAME, and a time limit."""

    user: str | None = None
    time_limit: str | None = None  # such as 8h30m


@dataclass(frozen=True, repr=False)
class BundleResult(Displayed):
    """A bundle, the result of its trial, and its notebook with the prediction time."""

    bundle: Bundle
    command: str  # of the prediction, in a notebook
    tried: BundleTrial | None = None
    notebook: KaggleNotebook | None = None
    prediction_time: PredictionTime | None = None
    time_limit: str | None = None

    @property
    def folder(self) -> Path:
        """The folder of the bundle."""
        return self.bundle.folder

    def describe(self) -> list[str]:
        """Returns lines on the packed files, the prediction and the upload."""
        packed, idle = self.bundle, ", ".join(self.bundle.no_weight)
        return [
            f"{', '.join(packed.members)}: {packed.networks} networks, {format_bytes(packed.bytes)}",
            *([f"not packed, because their weight in the blend is 0: {idle}"] if idle else []),
            f"in the notebook: {self.command}",
            "rows with unreadable images get the class prior and are reported; --on-unreadable-test stop stops "
            "instead",
            *([] if self.tried is None else [self.tried.describe()]),
            *([] if self.notebook is None else self._describe_notebook(self.notebook)),
        ]

    def _describe_notebook(self, notebook: KaggleNotebook) -> list[str]:
        limit = None if self.time_limit is None else parse_duration(self.time_limit)
        time = [] if self.prediction_time is None else [self.prediction_time.describe(limit)]
        missing = notebook.packages and not (self.folder / "wheels").is_dir()
        packages = ", ".join(notebook.packages)
        wheels = f"the notebook needs packages that Kaggle may not have: {packages}; --wheels packs them"
        return [
            *time,
            *([wheels] if missing else []),
            f"kaggle datasets create -p {self.folder} --dir-mode zip    uploads {notebook.dataset}",
            f"kaggle kernels push -p {notebook.folder}    uploads {notebook.kernel}; submit it on its page",
        ]

    def as_json(self) -> dict[str, Any]:
        """Returns all of it as JSON values."""
        packed = self.bundle
        values: dict[str, Any] = {
            "folder": str(packed.folder),
            "members": list(packed.members),
            "networks": packed.networks,
            "no_weight": list(packed.no_weight),
            "bytes": packed.bytes,
        }
        if self.tried is not None:
            values["tried"] = asdict(self.tried)
        if self.notebook is not None and self.prediction_time is not None:
            time = asdict(self.prediction_time)
            values["notebook"] = {**asdict(self.notebook), "folder": str(self.notebook.folder), "time": time}
        return values

    def _lines(self) -> Sequence[str]:
        return self.describe()

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per packed member."""
        return frame([{"member": name} for name in self.bundle.members], ("member",))


@stage
def make_bundle(
    workspace: Workspace | StrPath,
    members: Sequence[str],
    out: StrPath,
    ensembler: str | Mapping[str, Any] | None = None,
    wheels: bool = False,
    trial: bool = False,
    notebook: NotebookRequest | None = None,
) -> Work[BundleResult]:
    """Packs members or a submission's record into `out`, tries it, and writes its notebook.

    Raises the errors of `bundle`, `try_bundle`, `check_notebook` and predicting. Nothing is written if the
    request is invalid.
    """
    space = Workspace.of(workspace)
    if notebook is not None:
        check_notebook(space, Path(out), notebook.user, notebook.time_limit)
    steps = 1 + trial + (notebook is not None)
    yield Progress(TASK, 0, steps, "pack")
    packed = bundle(space, members, out, ensembler, wheels, for_kaggle=notebook is not None)
    table = "" if space.competition.data.test is None else " --test test.csv"
    command = f"python {packed.folder.name}/predict.py --images DIR --sample sample_submission.csv{table}"
    trial_result = written = time = None
    if trial:
        yield Progress(TASK, 1, steps, "try without kit")
        trial_result = try_bundle(space, packed.folder)
    if notebook is not None:
        yield Progress(TASK, steps - 1, steps, "time")
        written = write_notebook(space, packed.folder, notebook.user, notebook.time_limit)
        time = measure_prediction_time(space, packed.folder)
    limit = None if notebook is None else notebook.time_limit
    return BundleResult(packed, command, trial_result, written, time, limit)
