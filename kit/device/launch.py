"""launch: runs the same command once per device, as torchrun does, on this machine."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from uuid import uuid4


def launch(arguments: Sequence[str], devices: int, module: str = "kit") -> int:
    """Runs a module with these arguments as one rank per device, and returns the first exit status that is
    not 0, or 0.

    A signal is forwarded to all ranks. Each rank has an equal part of the machine's cores unless
    OMP_NUM_THREADS is set.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from kit.core.cores import available_cores

    logging.disable(logging.CRITICAL)  # the ranks print their own messages
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, available_cores() // devices)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        run_id=uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.1,
    )
    try:
        elastic_launch(config, sys.executable)("-m", module, *arguments)
    except ChildFailedError as error:
        _, first = error.get_first_failure()
        return first.exitcode if first.exitcode > 0 else 128 - first.exitcode
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0
