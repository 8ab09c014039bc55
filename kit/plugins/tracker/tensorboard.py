"""Tensorboard: event files for TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

from pydantic import Field

from kit.kinds import Log, Tracked, Tracker


class Tensorboard(Tracker):
    """Writes TensorBoard event files. `tensorboard --logdir runs` shows them.

    Source: torch.utils.tensorboard.SummaryWriter.
    """

    package: ClassVar[str] = "tensorboard"

    folder: str | None = Field(
        None,
        description="folder of <run>/fold-<k>, relative to the workspace; by default the fold's own folder",
    )

    @contextmanager
    def start(self, of: Tracked) -> Iterator[Log]:
        from torch.utils.tensorboard import SummaryWriter

        folder = of.folder / "tensorboard" if self.folder is None else of.root / self.folder / of.name
        again = of.step + 1 if of.step else None  # steps after the checkpoint are logged again
        with SummaryWriter(str(folder), purge_step=again) as writer:
            if again is None:
                text = json.dumps(dict(of.config), indent=2, default=str)
                writer.add_text("config", "".join(f"    {line}\n" for line in text.splitlines()))

            def log(step: int, values: Mapping[str, float]) -> None:
                for name, value in values.items():
                    writer.add_scalar(name, value, step)
                writer.flush()

            yield log
