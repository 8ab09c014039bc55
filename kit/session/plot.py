"""Plots: the methods of `comp.plot`, one per subcommand of `kit plot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from kit.core.files import StrPath
from kit.session.calls import begin_call
from kit.session.config_keys import ConfigKeys, PlotKeys, completes
from kit.session.keywords import as_references
from kit.session.opened import OpenedFolder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kit.session.keywords import Reference
    from kit.stages.figures.plot import PlotResult


class PlotCommands(OpenedFolder):
    """Plots augmentation, learning rate, members or neighbours, and writes each as a PNG."""

    def __repr__(self) -> str:
        return "plot.augment(), plot.lr(), plot.members([...]) or plot.retrieve(...)"

    @completes
    def augment(
        self,
        *,
        out: StrPath = "augment.png",
        rows: int = 6,
        variants: int = 6,
        seed: int | None = None,
        progress: bool = True,
        **config: Unpack[PlotKeys],
    ) -> PlotResult:
        """Plots training images beside their augmented variants.

        `seed` is that of rows and variants, by default the config's.
        """
        from kit.stages.figures.plot import plot_augment

        with begin_call(progress) as call:
            workspace = self._configured(config, PlotCommands.augment)
            return call.follow(plot_augment.with_progress(workspace, Path(out), rows, variants, seed))

    @completes
    def lr(
        self,
        *,
        out: StrPath = "lr.png",
        find: bool = False,
        lowest: float = 1e-6,
        highest: float = 1.0,
        steps: int = 120,
        progress: bool = True,
        **config: Unpack[ConfigKeys],
    ) -> PlotResult:
        """Plots the learning rate of each step; with `find` the loss at rates from `lowest` to `highest`."""
        from kit.stages.profiling.lr_plot import plot_lr, plot_lr_range

        with begin_call(progress) as call:
            workspace = self._configured(config, PlotCommands.lr)
            if find:
                return call.follow(plot_lr_range.with_progress(workspace, Path(out), lowest, highest, steps))
            return call.follow(plot_lr.with_progress(workspace, Path(out)))

    @completes
    def members(
        self,
        members: Reference | Sequence[Reference],
        *,
        out: StrPath = "members.png",
        progress: bool = True,
        **config: Unpack[ConfigKeys],
    ) -> PlotResult:
        """Plots correlation, error overlap and gain of blend members."""
        from kit.stages.figures.plot import plot_members

        with begin_call(progress):
            workspace = self._configured(config, PlotCommands.members)
            return plot_members(workspace, as_references(members), Path(out))

    def retrieve(
        self,
        member: Reference,
        *,
        out: StrPath = "retrieve.png",
        queries: int = 10,
        neighbours: int = 6,
        seed: int = 0,
        progress: bool = True,
    ) -> PlotResult:
        """Plots held-out rows beside their nearest training images, and a map of the embeddings."""
        from kit.stages.figures.plot import plot_retrieve

        with begin_call(progress) as call:
            (name,) = as_references(member)
            workspace = self.workspace
            return call.follow(
                plot_retrieve.with_progress(workspace, name, Path(out), queries, neighbours, seed)
            )
