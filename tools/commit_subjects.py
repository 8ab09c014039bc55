"""Checks that commit subjects have at most 60 characters: `python -m tools.commit_subjects`.

It reads the commits that are not yet on the upstream branch. If the branch has no upstream, it checks nothing
and says so. `--file MESSAGE` checks one message instead, for git's commit-msg hook.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

MAX_CHARACTERS = 60
GENERATED = ("Merge ", "Revert ", "fixup! ", "squash! ", "amend! ")  # git writes these subjects


def find_long(subjects: Sequence[str]) -> list[str]:
    """The subjects that are too long."""
    return [
        subject for subject in subjects if len(subject) > MAX_CHARACTERS and not subject.startswith(GENERATED)
    ]


def read_unpublished() -> list[str] | None:
    """The subjects of commits that are not on the upstream branch; None if the branch has no upstream."""
    command = ["git", "log", "--format=%s", "@{upstream}..HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.splitlines() if done.returncode == 0 else None


def main(arguments: Sequence[str]) -> int:
    """Prints each subject that is too long; 1 if there is one."""
    subjects: list[str] | None
    if arguments[:1] == ["--file"]:
        lines = Path(arguments[1]).read_text(encoding="utf-8").splitlines()
        subjects = [line for line in lines if line and not line.startswith("#")][:1]
    else:
        subjects = read_unpublished()
    if subjects is None:
        print("commit subjects: not checked, because this branch has no upstream", file=sys.stderr)
        return 0
    too_long = find_long(subjects)
    for subject in too_long:
        print(
            f"commit subject of {len(subject)} characters, at most {MAX_CHARACTERS}: {subject}",
            file=sys.stderr,
        )
    return int(bool(too_long))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
