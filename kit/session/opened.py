"""Opened: the folder of an open competition, which all groups of methods share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kit.config.workspace import Workspace
from kit.core.files import StrPath
from kit.session.keywords import as_overrides


class OpenedFolder:
    """A folder with a config.json, which each call reads again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __fspath__(self) -> str:
        return str(self.folder)

    @property
    def workspace(self) -> Workspace:
        """The folder with its present config.json."""
        return Workspace.find(self.folder)

    def _configured(self, keys: Mapping[str, Any], method: Any, config: StrPath | None = None) -> Workspace:
        """Returns the workspace with the keys of one call applied."""
        return Workspace.find(self.folder, self._overrides(keys, method), config)

    def _overrides(self, keys: Mapping[str, Any], method: Any) -> list[str]:
        return as_overrides(keys, method.__signature__.parameters, self.folder)
