"""Notebook: turns a bundle into a submission to a code competition of Kaggle.

The data set is the bundle's folder with dataset-metadata.json. Beside it, `<bundle>-notebook` has the notebook and
kernel-metadata.json.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.config.models import Data
from kit.config.workspace import Workspace
from kit.core.durations import parse_duration
from kit.core.files import atomic_folder, write_json, write_text
from kit.core.installed import pin_requirements
from kit.errors import ConfigError
from kit.stages.bundles.predicting import pattern_of, split_pattern
from kit.stages.submission.site_scores import competition_name

TEMPLATE = Path(__file__).parents[2] / "kinds" / "templates" / "notebook.txt"
NOTEBOOK = "predict.ipynb"
DATASET_METADATA, KERNEL_METADATA = "dataset-metadata.json", "kernel-metadata.json"
MAX_SLUG = 50  # characters that Kaggle allows in names of data sets and notebooks
USER_VARIABLE = "KAGGLE_USERNAME"


@dataclass(frozen=True)
class KaggleNotebook:
    """The files of a notebook, the names on Kaggle, and packages that neither Kaggle nor the bundle may have."""

    folder: Path
    dataset: str  # user/name
    kernel: str
    packages: tuple[str, ...]


def check_notebook(workspace: Workspace, bundle: Path, user: str | None, time_limit: str | None) -> str:
    """Returns the user's name on Kaggle, after all checks of `write_notebook`, which do not need the bundle."""
    competition_name(workspace)
    user = user or os.environ.get(USER_VARIABLE)
    if not user or not re.fullmatch(r"[\w-]+", user):
        raise ConfigError(
            f"{user!r} is not the name of a user" if user else "the name of the Kaggle user is not known",
            code="C56",
            hint=f"--kaggle-user NAME, or set {USER_VARIABLE}; it is the last part of the address of your profile",
        )
    if time_limit is not None:
        parse_duration(time_limit)
    if workspace.competition.data.sample is None:
        raise ConfigError("data.sample is null, so a notebook has no rows to predict", code="C07")
    folder = notebook_folder(bundle)
    if folder.exists():
        raise ConfigError(f"{folder} already exists", code="C38", hint="remove it, or use another --out")
    return user


def write_notebook(
    workspace: Workspace, bundle: Path, user: str | None = None, time_limit: str | None = None
) -> KaggleNotebook:
    """Writes the notebook, its metadata and the data set's metadata of a bundle.

    `user` is the name on Kaggle, by default from KAGGLE_USERNAME. The notebook has no internet and uses a
    GPU. Raises ConfigError C55 without the competition's name, C56 without the user's, C05 for an invalid
    time, C07 without a sample, C38 if the notebook's folder exists.
    """
    user = check_notebook(workspace, bundle, user, time_limit)
    competition, data = competition_name(workspace), workspace.competition.data
    folder = notebook_folder(bundle)
    name = _slug(f"{competition}-{bundle.name}")
    kernel = _slug(f"{name[: MAX_SLUG - len('-predict')]}-predict")
    packages = _extra_packages(bundle)
    settings = {
        "COMPETITION": competition,
        "BUNDLE": f"{user}/{name}",
        "IMAGES": _image_folder(data),
        "SAMPLE": data.sample,
        "TEST": data.test,
        "TIME": time_limit,
        "PACKAGES": packages,
    }
    with atomic_folder(folder) as part:
        write_json(part / KERNEL_METADATA, _kernel_metadata(user, kernel, name, competition))
        write_text(part / NOTEBOOK, make_notebook(settings))
    # not in bundle.json, because Kaggle does not keep it
    write_json(
        bundle / DATASET_METADATA,
        {"id": f"{user}/{name}", "title": _title(name), "licenses": [{"name": "other"}]},
    )
    return KaggleNotebook(folder, f"{user}/{name}", f"{user}/{kernel}", tuple(packages))


def notebook_folder(bundle: Path) -> Path:
    """Returns the folder of a bundle's notebook, beside the bundle."""
    return bundle.with_name(f"{bundle.name}-notebook")


def make_notebook(settings: Mapping[str, Any]) -> str:
    """Returns the notebook as JSON of nbformat 4.5: the template's cells, with the settings as Python assignments."""
    lines = "\n".join(f"{name} = {value!r}" for name, value in settings.items())
    text = TEMPLATE.read_text(encoding="utf-8").replace("SETTINGS", lines, 1)
    cells: list[dict[str, Any]] = []
    for number, part in enumerate(re.split(r"^# %%", text, flags=re.MULTILINE)[1:]):
        head, _, source = part.partition("\n")
        source = source.strip()
        if "[markdown]" in head:
            source = re.sub(r"^# ?", "", source, flags=re.MULTILINE)
            cells.append({"cell_type": "markdown", "id": f"cell-{number}", "metadata": {}, "source": source})
        else:
            cells.append(
                {
                    "cell_type": "code",
                    "id": f"cell-{number}",
                    "metadata": {},
                    "execution_count": None,
                    "outputs": [],
                    "source": source,
                }
            )
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def _kernel_metadata(user: str, kernel: str, dataset: str, competition: str) -> dict[str, Any]:
    return {
        "id": f"{user}/{kernel}",
        "title": _title(kernel),
        "code_file": NOTEBOOK,
        "language": "python",
        "kernel_type": "notebook",
        "is_private": True,
        "enable_gpu": True,
        "enable_internet": False,
        "dataset_sources": [f"{user}/{dataset}"],
        "competition_sources": [competition],
        "kernel_sources": [],
        "model_sources": [],
    }


def _slug(text: str) -> str:
    """Returns a name as Kaggle makes it from a title: lower case, with single hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:MAX_SLUG].strip("-")


def _title(slug: str) -> str:
    """Returns a title whose name on Kaggle is the slug."""
    return slug.replace("-", " ")


def _image_folder(data: Data) -> str:
    """Returns the part of the pattern of the test images before its first column."""
    return split_pattern(pattern_of(data))[0].removeprefix("./")


def _extra_packages(bundle: Path) -> dict[str, str]:
    """Returns packages of the bundle's requirements that kit itself does not need, by distribution, each with
    its module.
    """
    own = set(pin_requirements())
    lines = (bundle / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = [line.partition("==")[0] for line in lines if line not in own]
    modules = importlib.metadata.packages_distributions()
    return {
        name: next((module for module, owners in modules.items() if name in owners), name) for name in names
    }
