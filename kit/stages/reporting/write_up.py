"""Write-up: the report as Markdown that a team can edit, and that kit then never overwrites."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from kit.core import files
from kit.core.legible import legible
from kit.errors import ConfigError
from kit.stages.reporting.facts import Facts, Missing, TrainedRun
from kit.stages.reporting.page import environment, format_signed

WEAKEST = 8  # classes that are listed
MARK = re.compile(r"<!-- kit report --write-up ([0-9a-f]{16}) -->\n\Z")


def write_up(facts: Facts) -> str:
    """Returns the write-up. Its last line is a digest that shows if the text before it was edited."""
    templates = environment(html=False)
    templates.filters["cell"] = cell
    text = templates.get_template("write-up.md").render(
        facts=facts, tried=_list_experiments(facts), again=_again(facts), WEAKEST=WEAKEST
    )
    text = legible(re.sub(r"\n{3,}", "\n\n", text).strip() + "\n\n")
    return f"{text}<!-- kit report --write-up {_digest(text)} -->\n"


def cell(text: str) -> str:
    """Returns a name as plain text in Markdown, also in a table's cell."""
    plain = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", plain)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_edited(text: str) -> bool:
    """Whether a file differs from a write-up that kit wrote."""
    mark = MARK.search(text)
    return mark is None or _digest(text[: mark.start()]) != mark[1]


def check_free(path: Path) -> None:
    """Raises ConfigError C30 if a write-up that a team has edited would be lost."""
    if path.exists() and is_edited(path.read_text(encoding="utf-8", errors="replace")):
        raise ConfigError(
            f"{path} was edited, and kit does not write over it",
            code="C30",
            hint=f"--out {path.with_name('fresh.html')}, whose write-up is fresh.md, and take from it what is new",
        )


def write(path: Path, facts: Facts) -> None:
    """Writes the write-up. Raises ConfigError C30 as `check_free` does."""
    check_free(path)
    files.write_text(path, write_up(facts))


def _list_experiments(facts: Facts) -> list[tuple[TrainedRun, str]]:
    """Returns the runs, the best first, each with its differences from the one that was started first on the
    same number of rows.
    """
    runs, metric = () if isinstance(facts.runs, Missing) else facts.runs, facts.summary.metric
    scored = [run for run in runs if metric in run.scores]
    first = min(scored, key=lambda run: run.started, default=None)
    return [(run, "the first" if run is first else _change(run, first, metric)) for run in runs]


def _again(facts: Facts) -> list[str]:
    """Returns the commands that make the best submission again: train its runs, predict by views, blend."""
    if isinstance(facts.board, Missing) or not facts.board.submissions:
        return []
    best = facts.board.submissions[0]
    members = [member.partition("@") for member in best.members.split()]
    runs = dict.fromkeys(run for run, _, _ in members)
    views: dict[str, list[str]] = {}
    for run, _, name in members:
        views.setdefault(name, []).append(f"runs/{run}")
    lines = [
        *(f"kit train --name {run} --config runs/{run}/config.json" for run in runs),
        *(f"kit tta --checkpoints {' '.join(paths)} --views {name}" for name, paths in views.items()),
        f"kit blend {' '.join(f'runs/{run}@{name}' for run, _, name in members)} --ensembler {best.ensembler}",
    ]
    return [" ".join(line.split()) for line in lines]  # a board may be edited by hand


def _change(run: TrainedRun, first: TrainedRun | None, metric: str) -> str:
    if first is None or metric not in run.scores or run.rows != first.rows:
        return "–"
    return format_signed(run.scores[metric] - first.scores[metric])
