"""Submissions: the methods of `comp.submission`, one per subcommand of `kit submission`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kit.config.workspace import Workspace
from kit.core.files import StrPath
from kit.session.calls import begin_call

if TYPE_CHECKING:
    from kit.stages.submission.validation import ValidationReport


class SubmissionCommands:
    """Checks a submission, or gives the command that uploads it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __repr__(self) -> str:
        return 'submission.check("mine.csv") or submission.upload_command(3)'

    def check(self, file: StrPath) -> ValidationReport:
        """Checks the columns, ids and cells of any submission; the result lists the faults."""
        from kit.stages.submission.validation import check_submission

        with begin_call(progress=True):
            return check_submission(Workspace.find(self._folder), Path(file))

    def upload_command(self, number: int | str) -> str:
        """The Kaggle upload command of a submission. The command is not run."""
        from kit.stages.submission import upload

        with begin_call(progress=True):
            return upload.upload_command(Workspace.find(self._folder), number)
