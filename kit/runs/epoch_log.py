"""EpochLog: log.jsonl, one JSON line per epoch of a fold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.core.files import parse_json, write_text

if TYPE_CHECKING:
    from kit.engine.fit import EpochEvent

# keys of a line besides scores
NOT_SCORES = frozenset(
    (
        "epoch",
        "step",
        "lr",
        "train_loss",
        "left_out",
        "overflows",
        "images_per_second",
        "seconds",
        "memory_mib",
    )
)


@dataclass
class EpochLog:
    """The lines of a fold's log. `write` writes the whole file, so that it never ends in half a line."""

    file: Path
    lines: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(cls, file: Path, epoch: int | None = None) -> EpochLog:
        """Reads the log, or its part up to an epoch.

        If it is damaged, a new log is started, because no result depends on it.
        """
        try:
            lines = [parse_json(line) for line in file.read_text(encoding="utf-8").splitlines()]
            return cls(file, [line for line in lines if epoch is None or line["epoch"] <= epoch])
        except (OSError, ValueError, KeyError, TypeError):
            return cls(file)

    def add(
        self, epoch: EpochEvent, step: int, scores: Mapping[str, float], seconds: float, memory: int
    ) -> str:
        """Adds an epoch, with its seconds including validation, and the maximum of memory in bytes.

        Returns its line as text.
        """
        speed = epoch.rows / max(epoch.seconds, 1e-9)
        start = {"epoch": epoch.number, "step": step, "lr": epoch.lr, "train_loss": epoch.loss}
        counted = {"left_out": epoch.skipped, "overflows": epoch.overflowed}
        faults = {name: count for name, count in counted.items() if count}
        measured = {
            "images_per_second": round(speed, 1),
            "seconds": round(seconds, 3),
            "memory_mib": round(memory / 2**20),
        }
        self.lines.append({**start, **scores, **faults, **measured})
        return format_line(self.lines[-1])

    def write(self) -> None:
        """Writes all lines."""
        write_text(self.file, "".join(json.dumps(line) + "\n" for line in self.lines))

    def so_far(self, loss: float, speed: float, memory: str) -> str:
        """Returns the current epoch as text, with the scores of the previous one."""
        scores = list(scores_of(self.lines[-1]).items())[:1] if self.lines else []
        numbers_text = [f"loss {loss:.4f}", *(f"{name} {value:.4f}" for name, value in scores)]
        return ", ".join([*numbers_text, f"{speed:.0f} images/s", memory])


def scores_of(line: Mapping[str, Any]) -> dict[str, float]:
    """Returns the scores of a line, by metric."""
    return {name: value for name, value in line.items() if name not in NOT_SCORES}


def format_line(line: Mapping[str, Any]) -> str:
    """Returns a line as text."""
    numbers_text = [
        f"loss {line['train_loss']:.4f}",
        *(f"{name} {value:.4f}" for name, value in scores_of(line).items()),
    ]
    return ", ".join([*numbers_text, f"lr {line['lr']:.2g}", f"{line['images_per_second']:.0f} images/s"])
