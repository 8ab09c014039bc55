"""Wandb: Weights & Biases, with an account or without."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Literal

from pydantic import Field

from kit.kinds import Log, Tracked, Tracker


class Wandb(Tracker):
    """Logs to Weights & Biases: a group per run, with one W&B run per fold and one for the pooled scores.

    A resumed fold logs to the same W&B run. Offline, the files are in the fold's folder, and `wandb sync
    runs/r/fold-0/wandb/offline-run-*` sends them.

    Source: https://docs.wandb.ai/ref/python/init.
    """

    package: ClassVar[str] = "wandb"
    remote: ClassVar[bool] = True

    project: str | None = Field(
        None, description="W&B project; by default the name of the workspace's folder"
    )
    entity: str | None = Field(None, description="W&B user or team; by default that of the account")
    mode: Literal["auto", "online", "offline", "disabled"] = Field(
        "auto",
        description="auto: the value of WANDB_MODE, otherwise online if there is a login, otherwise offline",
    )

    @contextmanager
    def start(self, of: Tracked) -> Iterator[Log]:
        import wandb

        run = wandb.init(
            project=self.project or of.root.name,
            entity=self.entity,
            mode=self._mode(),
            dir=str(of.folder),
            group=of.run,
            job_type="pooled" if of.fold is None else "fold",
            name=of.name,
            id=of.key,
            resume="allow",
            reinit="create_new",
            config=dict(of.config),
            settings=wandb.Settings(console="off", silent=True, init_timeout=30),
        )
        try:
            yield lambda step, values: run.log(dict(values), step=step)
        except BaseException:
            run.finish(exit_code=1)
            raise
        run.finish()

    def _mode(self) -> Literal["online", "offline", "disabled"] | None:
        """Returns the mode for wandb. Without one, wandb would ask for a login and wait."""
        import wandb

        if self.mode != "auto":
            return self.mode
        if os.environ.get("WANDB_MODE"):
            return None
        return "online" if wandb.login(prompt=False, verify=False) else "offline"
