"""Workspace: a folder with a config.json, and the paths in it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kit.config.models import Competition, Experiment
from kit.config.overrides import apply_overrides
from kit.config.parsing import parse, validate_config
from kit.core.files import StrPath, is_safe_folder_name
from kit.core.legible import check_writable
from kit.errors import ConfigError

CONFIG_FILE = "config.json"
SHARED_CACHE = "KIT_CACHE"


@dataclass(frozen=True)
class Workspace:
    """A workspace and its checked config. `raw` is the requested config, including overrides."""

    root: Path
    raw: dict[str, Any]
    text: str = ""

    def __fspath__(self) -> str:
        return str(self.root)

    @classmethod
    def of(
        cls,
        workspace: Workspace | StrPath = ".",
        overrides: str | Iterable[str] = (),
        config: StrPath | None = None,
    ) -> Workspace:
        """Returns the workspace for the argument that every public function takes: a Workspace, or a path in
        its folder.

        `overrides` are applied to either. `config` is read in place of config.json. Raises what `find` raises.
        """
        if not isinstance(workspace, Workspace):
            return cls.find(workspace, overrides, config)
        if config is not None:
            return cls.open(workspace.root, overrides, config)
        raw = apply_overrides(workspace.raw, overrides)
        if raw == workspace.raw:
            return workspace
        validate_config(raw, workspace.text)
        return cls(workspace.root, raw, workspace.text)

    @classmethod
    def find(
        cls, start: StrPath = ".", overrides: str | Iterable[str] = (), config: StrPath | None = None
    ) -> Workspace:
        """Finds the workspace of a folder by looking upwards, as git does.

        `config` is read in place of its config.json.

        Raises ConfigError if no folder has one.
        """
        start = Path(start).resolve()
        for folder in (start, *start.parents):
            if (folder / CONFIG_FILE).is_file():
                return cls.open(folder, overrides, config)
        raise ConfigError(
            f"no {CONFIG_FILE} in {start} or above it",
            code="C06",
            hint="run kit init in the folder of your competition, or kit demo",
        )

    @classmethod
    def open(
        cls, root: StrPath, overrides: str | Iterable[str] = (), config: StrPath | None = None
    ) -> Workspace:
        """Opens the workspace of exactly this folder. Raises ConfigError if the config is not valid."""
        root = Path(root).resolve()
        check_writable([root])
        file = root / CONFIG_FILE if config is None else Path(config)
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot read {file}: {error.strerror}", code="C06") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{file} is not UTF-8", code="C04") from None
        raw = apply_overrides(parse(text, str(file)), overrides)
        validate_config(raw, text, CONFIG_FILE if config is None else str(config))
        return cls(root, raw, text)

    @cached_property
    def _models(self) -> tuple[Competition, Experiment]:
        return validate_config(self.raw, self.text)

    @property
    def competition(self) -> Competition:
        """The competition's part of the config."""
        return self._models[0]

    @property
    def experiment(self) -> Experiment:
        """The experiment's part of the config."""
        return self._models[1]

    def run_folder(self, text: StrPath) -> Path | None:
        """Returns the folder in runs/ for `r`, `runs/r` or its path, relative to the present folder or to the
        workspace.

        It is None if this workspace's runs/ has no such folder.
        """
        text = os.fspath(text)
        by_name = (self.runs / text,) if is_safe_folder_name(text) else ()
        folders: tuple[Path, ...] = (self.root / text, *by_name, Path(text).resolve())
        for folder in folders:
            if folder.is_dir() and folder.resolve().parent == self.runs.resolve():
                return folder.resolve()
        return None

    def path(self, relative: StrPath) -> Path:
        """Returns the absolute form of a config path, which is relative to the workspace."""
        return self.root / relative

    @property
    def runs(self) -> Path:
        """Folder of all runs."""
        return self.root / "runs"

    @property
    def cache(self) -> Path:
        """Folder of decoded images. The environment variable KIT_CACHE names one that several workspaces share."""
        shared = os.environ.get(SHARED_CACHE)
        if shared:
            return Path(shared).expanduser().absolute()
        return self.root / self.competition.cache_folder

    @property
    def submissions(self) -> Path:
        """Folder of submissions and of board.csv."""
        return self.root / "submissions"
