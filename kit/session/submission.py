"""Submissions: the methods of `comp.submission`, one per subcommand of `kit submission`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kit.core.files import StrPath
from kit.errors import ConfigError, RunError
from kit.session.calls import begin_call
from kit.session.opened import OpenedFolder

if TYPE_CHECKING:
    from kit.stages.submission.sending import SentSubmission
    from kit.stages.submission.validation import ValidationReport


class SubmissionCommands(OpenedFolder):
    """Checks a submission, uploads it to Kaggle, or gives the command that uploads it."""

    def __repr__(self) -> str:
        return 'submission.check("mine.csv"), submission.send(3) or submission.upload_command(3)'

    def check(self, file: StrPath) -> ValidationReport:
        """Checks the columns, ids and cells of any submission; the result lists the faults."""
        from kit.stages.submission.validation import check_submission

        with begin_call(progress=True):
            return check_submission(self.workspace, Path(file))

    def upload_command(self, number: int | str) -> str:
        """Returns the Kaggle upload command of a submission. The command is not run."""
        from kit.stages.submission import upload

        with begin_call(progress=True):
            return upload.upload_command(self.workspace, number)

    def send(self, number: int | str, *, yes: bool = False, resend: bool = False) -> SentSubmission:
        """Uploads a submission to Kaggle. Before that, it checks the file and the daily limit, and asks.

        `yes` uploads without asking, and `resend` even if this submission was sent before.
        """
        from kit.stages.submission.sending import plan_upload, send_submission

        with begin_call(progress=True) as call:
            plan = plan_upload(self.workspace, number, resend)
            for line in plan.describe():
                call.say(line)
            if not yes:
                _ask(plan.question(), plan.entry.number)
            return send_submission(plan)


def _ask(question: str, number: int) -> None:
    """Asks in the notebook.

    Raises RunError if the answer is not yes, ConfigError C05 if no input is possible.
    """
    try:
        answer = input(f"{question} [y/N]: ")
    except (EOFError, NotImplementedError):  # Jupyter's error for a saved notebook is of the second class
        raise ConfigError(
            "kit asks before it uploads a submission, and no terminal or notebook takes the answer",
            code="C05",
            hint=f"comp.submission.send({number}, yes=True)",
        ) from None
    if answer.strip().lower() not in ("y", "yes"):
        raise RunError("nothing was sent")
