"""Step memory: the memory of a training step at several numbers of images, as a table and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import StrPath
from kit.core.progress import Work, stage
from kit.device.memory import format_mebibytes
from kit.errors import ConfigError
from kit.experiment.batch_size import StepMemory, measure_config
from kit.stages.figures.plots import draw_stacked_bars, write_figure

if TYPE_CHECKING:
    import pandas as pd

MIN_BLOCK_BYTES = 2**10  # share of activations below which a block is not listed


@dataclass(frozen=True, repr=False, eq=False)
class MemoryResult(Displayed):
    """A step's memory at `sizes` images at a time, by part, and the picture if one was requested."""

    title: str  # network, precision and device
    step: StepMemory
    sizes: tuple[int, ...]
    picture: Path | None = None

    @property
    def largest(self) -> int:
        """The largest number of images at a time that fits with a margin."""
        return self.step.largest()

    def describe_free(self) -> str:
        """Returns the free memory, and what weights, gradients and optimizer use."""
        free, learner_bytes = format_mebibytes(self.step.device_memory.free), format_mebibytes(self.step.held)
        return f"{self.title}: {free} free, {learner_bytes} used by weights, gradients and optimizer"

    def describe(self) -> list[str]:
        """Returns activations by block, the measured peak, and the largest batch that fits, in lines."""
        step = self.step
        blocks = step.footprint.activations(step.images).items()
        listed = [f"{name} {format_mebibytes(size)}" for name, size in blocks if size >= MIN_BLOCK_BYTES]
        lines = [f"activations of {step.images} images, by block: {', '.join(listed)}"]
        if step.failed:
            lines.append(f"a real step of {step.images} images failed: {step.failed}")
        elif step.measured is not None:
            peak, scratch = format_mebibytes(step.measured), format_mebibytes(step.scratch)
            lines.append(
                f"a real step of {step.images} images used {peak}, of which {scratch} workspace of the kernels"
            )
        largest = f"{self.largest} images at a time, with 10 % of the free memory left"
        return [*lines, f"largest batch that fits: {largest}"]

    def as_json(self) -> dict[str, Any]:
        """Returns all numbers in bytes, as JSON values."""
        step = self.step
        return {
            "network": self.title,
            "free": step.device_memory.free,
            "held": step.held,
            "sizes": [
                {
                    "images": size,
                    "peak": step.peak(size),
                    "parts": step.parts(size),
                    "activations": step.footprint.activations(size),
                    "fits": step.fits(size),
                }
                for size in self.sizes
            ],
            "measured": {
                "images": step.images,
                "peak": step.measured,
                "scratch": step.scratch,
                "failed": step.failed,
            },
            "largest": self.largest,
        }

    def _lines(self) -> list[str]:
        return [self.describe_free(), *reversed(self.describe())]

    def _pictures(self) -> Sequence[bytes]:
        return [] if self.picture is None else [self.picture.read_bytes()]

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per number of images: bytes of the peak and of each part, and whether it fits."""
        step = self.step
        rows = [
            {"images": size, "peak": step.peak(size), **step.parts(size), "fits": step.fits(size)}
            for size in self.sizes
        ]
        return frame(rows)


@stage
def measure_memory(
    workspace: Workspace | StrPath, sizes: Sequence[int] = (), out: Path | None = None
) -> Work[MemoryResult]:
    """Measures a training step at `sizes` images at a time, by default the config's, and plots it to `out`.

    Raises ConfigError C05 for a size below 1 and for a file that does not end in .png, and what opening the
    experiment raises.
    """
    if out is not None and out.suffix.lower() != ".png":
        raise ConfigError(f"{str(out)!r} does not end in .png", code="C05")
    if any(size < 1 for size in sizes):
        raise ConfigError("each batch size must be at least 1", code="C05")
    space = Workspace.of(workspace)
    step, precision, device = yield from measure_config.with_progress(space, sizes[-1] if sizes else None)
    backbone = space.experiment.backbone
    network = backbone.get("arch") or backbone["name"]
    title = f"{network}, {precision.train} {precision.memory_format} on {device}"
    batch_sizes = tuple(sorted({*sizes})) or (step.images,)
    if out is not None:
        parts = {size: step.parts(size) for size in batch_sizes}
        heading = f"memory of a training step: {title}"
        limit = step.held + step.device_memory.free
        write_figure(out, draw_stacked_bars(parts, heading, "images at a time", limit))
    return MemoryResult(title, step, batch_sizes, out)
