"""Installed packages: kit's requirements, the names under which they may be installed, and their versions here.

A bundle has kit's source without kit's own metadata, and OpenCV has several distributions of one module. So
versions are only looked up here, and a package without metadata is not an error. Optional packages are
checked here too.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path

import kit
from kit.core.kaggle_folders import list_attached
from kit.errors import ConfigError

KIT = "kit-competitions"
UNKNOWN = "unknown"
# distributions that kit imports at run time, with their modules; setup.cfg has their ranges, and a test
# compares both
REQUIRED = {
    "albumentations": "albumentations",
    "click": "click",
    "filelock": "filelock",
    "huggingface_hub": "huggingface_hub",
    "jinja2": "jinja2",
    "markupsafe": "markupsafe",
    "matplotlib": "matplotlib",
    "numpy": "numpy",
    "opencv-python-headless": "cv2",
    "pandas": "pandas",
    "pillow": "PIL",
    "pyarrow": "pyarrow",
    "pydantic": "pydantic",
    "rich": "rich",
    "safetensors": "safetensors",
    "scikit-learn": "sklearn",
    "scipy": "scipy",
    "threadpoolctl": "threadpoolctl",
    "timm": "timm",
    "torch": "torch",
    "torchvision": "torchvision",
    "ttach": "ttach",
}
# other distributions of the same module
ALIASES = {
    "opencv-python-headless": ("opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
}


def version(name: str) -> str:
    """Returns the version of a required package, from its metadata, else from its module, else `unknown`.

    kit's own is `kit.__version__`, so that it is known if kit is a folder beside a script.
    """
    if name == KIT:
        return kit.__version__
    owner_and_version = distribution(name)
    if owner_and_version is not None:
        return owner_and_version[1]
    try:
        module = importlib.import_module(REQUIRED.get(name, name))
    except Exception:  # a broken package may raise anything, and its version is only recorded
        return UNKNOWN
    return str(getattr(module, "__version__", UNKNOWN))


def distribution(name: str) -> tuple[str, str] | None:
    """Returns the installed distribution that provides a package, by its own name or an alias, and its version."""
    for candidate in (name, *ALIASES.get(name, ())):
        try:
            version_text = importlib.metadata.version(candidate)
        except importlib.metadata.PackageNotFoundError:
            continue
        if version_text:  # an emptied metadata folder has no version
            return candidate, version_text
    return None


def pin_requirements(others: Mapping[str, str] | None = None) -> list[str]:
    """Returns kit's requirements, and `others` by name and version, as lines of a requirements file, without
    a build's tag (+cpu).

    A package has its installed name. If its version is unknown, the line has no version.
    """
    lines = []
    for name in REQUIRED:
        own, release = distribution(name) or (name, version(name))
        lines.append(own if release == UNKNOWN else f"{own}=={_public(release)}")
    return sorted({*lines, *(f"{name}=={_public(release)}" for name, release in (others or {}).items())})


def _public(version: str) -> str:
    return re.sub(r"\+.*", "", version)


def require_package(package: str, who: str, instead: str, extra: str = "") -> None:
    """Raises ConfigError C24 if a package is not installed; "" stands for no package.

    `extra` is by default the package.
    """
    spec = importlib.util.find_spec(package) if package else None
    if package and (spec is None or spec.origin is None):  # a folder of that name is not a package
        folder = find_attached_wheel(package)
        plain = f"pip install 'kit-competitions[{extra or package}]'"
        install = f"pip install --no-index --find-links {folder} {package}" if folder else plain
        raise ConfigError(
            f"{who} needs the package {package}, which is not installed",
            code="C24",
            hint=f"{install}, or {instead}",
        )


def find_attached_wheel(package: str) -> Path | None:
    """Returns the folder of a package's wheel among the folders attached to a notebook, or None."""
    wanted = _normalise(package)
    wheels = (wheel for folder in list_attached() for wheel in sorted(folder.rglob("*.whl")))
    return next(
        (wheel.parent for wheel in wheels if _normalise(wheel.name.partition("-")[0]) == wanted), None
    )


def _normalise(package: str) -> str:
    """Returns a package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", package).lower()
