"""EpochLog: log.jsonl, a JSON line an epoch of a fold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.files import parsed, write_text

if TYPE_CHECKING:
    from kit.fit import Epoch


@dataclass
class EpochLog:
    """The lines of a fold's log; each `add` writes the whole file, so that it is never half a line."""

    file: Path
    lines: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(cls, file: Path, epoch: int) -> EpochLog:
        """The log up to the epoch that training goes on from; a damaged one is begun anew, as nothing depends on it."""
        try:
            lines = [parsed(line) for line in file.read_text(encoding="utf-8").splitlines()]
            return cls(file, [line for line in lines if line["epoch"] <= epoch])
        except (OSError, ValueError, KeyError, TypeError):
            return cls(file)

    def add(self, epoch: Epoch, step: int, scores: Mapping[str, float], memory: int) -> str:
        """Adds an epoch, with the bytes that were held at most, and returns it as people read it."""
        speed = epoch.rows / max(epoch.seconds, 1e-9)
        start = {"epoch": epoch.number, "step": step, "lr": epoch.lr, "train_loss": epoch.loss}
        counted = {"left_out": epoch.left_out, "overflows": epoch.overflows}
        faults = {name: count for name, count in counted.items() if count}
        cost = {"images_per_second": round(speed, 1), "memory_mib": round(memory / 2**20)}
        self.lines.append({**start, **scores, **faults, **cost})
        write_text(self.file, "".join(json.dumps(line) + "\n" for line in self.lines))
        shown = [f"loss {epoch.loss:.4f}", *(f"{name} {value:.4f}" for name, value in scores.items())]
        return ", ".join([*shown, f"lr {epoch.lr:.2g}", f"{speed:.0f} images/s"])
