"""Plots: the methods of `comp.plot`, one per subcommand of `kit plot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from kit.config.workspace import Workspace
from kit.core.files import StrPath
from kit.session.calls import begin_call
from kit.session.config_keys import ConfigKeys, PlotKeys, completes
from kit.session.keywords import as_overrides, as_references

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kit.commands._plots import PlotResult
    from kit.session.keywords import Reference


class PlotCommands:
    """Plots augmentation, learning rate, members or neighbours, and writes each as a PNG."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

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
        from kit.commands._plots import plot_augment

        with begin_call(progress) as call:
            workspace = self._configured(config, PlotCommands.augment)
            return call.follow(plot_augment(workspace, Path(out), rows, variants, seed))

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
        from kit.commands._plots import plot_lr, plot_lr_range

        with begin_call(progress) as call:
            workspace = self._configured(config, PlotCommands.lr)
            if find:
                return call.follow(plot_lr_range(workspace, Path(out), lowest, highest, steps))
            return call.follow(plot_lr(workspace, Path(out)))

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
        from kit.commands._plots import plot_members

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
        from kit.commands._plots import plot_retrieve

        with begin_call(progress) as call:
            (name,) = as_references(member)
            workspace = Workspace.find(self._folder)
            return call.follow(plot_retrieve(workspace, name, Path(out), queries, neighbours, seed))

    def _configured(self, keys: Mapping[str, Any], method: Any) -> Workspace:
        options = method.__signature__.parameters
        return Workspace.find(self._folder, as_overrides(keys, options, self._folder))
