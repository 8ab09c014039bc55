"""Packages that kit goes without, and that a technique may need: extras of kit."""

from __future__ import annotations

import importlib.util

from kit.errors import ConfigError


def require_package(package: str, who: str, instead: str) -> None:
    """Raises ConfigError C24 where a package, "" for none, is not installed; its extra has the package's name."""
    found = importlib.util.find_spec(package) if package else None
    if package and (found is None or found.origin is None):  # a folder of that name is no package
        raise ConfigError(
            f"{who} needs the package {package}, which is not installed",
            code="C24",
            hint=f"pip install 'kit-competitions[{package}]', or {instead}",
        )
