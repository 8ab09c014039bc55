"""Bench: the methods of `comp.bench`, one per subcommand of `kit bench`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from kit.errors import ConfigError
from kit.session.calls import begin_call
from kit.session.config_keys import LoaderBenchKeys, NetworkBenchKeys, completes
from kit.session.opened import OpenedFolder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kit.stages.profiling.loader_speed import LoaderResult
    from kit.stages.profiling.speed import SpeedResult


class BenchCommands(OpenedFolder):
    """Times the network and the loader on this machine. The config is not changed."""

    def __repr__(self) -> str:
        return "bench.network() or bench.loader()"

    @completes
    def network(
        self,
        *,
        batch_size: int | None = None,
        steps: int = 10,
        compile: bool = False,  # noqa: A002 - the command's option
        progress: bool = True,
        **config: Unpack[NetworkBenchKeys],
    ) -> SpeedResult:
        """Times the network at each precision and memory layout; with `compile` by torch.compile too.

        `steps` are the timed steps of each combination, at least 3.
        """
        from kit.stages.profiling.speed import measure_speed

        _check_steps(steps)
        with begin_call(progress) as call:
            workspace = self._configured(config, BenchCommands.network)
            return call.follow(measure_speed.with_progress(workspace, batch_size, steps, compile))

    @completes
    def loader(
        self,
        *,
        workers: int | Sequence[int] | None = None,
        steps: int = 20,
        progress: bool = True,
        **config: Unpack[LoaderBenchKeys],
    ) -> LoaderResult:
        """Times training with different numbers of loader processes, by default 0, 1, 2, 4, ...

        `steps` are the timed steps per turn, at least 3.
        """
        from kit.stages.profiling.loader_speed import measure_loader

        _check_steps(steps)
        with begin_call(progress) as call:
            workspace = self._configured(config, BenchCommands.loader)
            counts = [workers] if isinstance(workers, int) else [*(workers or ())]
            return call.follow(measure_loader.with_progress(workspace, counts, steps))


def _check_steps(steps: int) -> None:
    if steps < 3:
        raise ConfigError(f"{steps} timed steps are less than 3", code="C05")
