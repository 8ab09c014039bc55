"""Workspaces of a competition whose files stay where they are, and kit's commands in them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

OWN = ("config.json", "runs", "cache")  # of the competition's folder, which a workspace does not share


def link_competition(competition: Path, root: Path) -> None:
    """Makes the folder `root`, with links to the files of a competition. Files that are there stay."""
    root.mkdir(parents=True, exist_ok=True)
    for path in competition.resolve().iterdir():
        if not (root / path.name).exists() and path.name not in OWN:
            (root / path.name).symlink_to(path)


def run_kit(root: Path, *arguments: str) -> None:
    """Runs a command of kit."""
    subprocess.run([sys.executable, "-m", "kit", *arguments], cwd=root, check=True, capture_output=True)
