"""kit init: writes config.json for a competition's files in any folder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kit.config.data_section import change_paths
from kit.config.models import Data, Experiment, split
from kit.config.schema import SCHEMA_FILE, config_schema
from kit.config.short_form import config_text, without_defaults
from kit.config.workspace import CONFIG_FILE
from kit.core import kaggle_folders
from kit.core.files import StrPath, write_json, write_text
from kit.core.legible import check_writable
from kit.data.content import is_image_file
from kit.errors import ConfigError
from kit.images.cache import Geometry
from kit.stages.discovery import recipes, trees
from kit.stages.discovery.attached_weights import find_attached_weights
from kit.stages.discovery.cache_place import choose_cache_folder, estimate_cache
from kit.stages.discovery.discover import discover
from kit.stages.discovery.discovery import Discovery
from kit.stages.discovery.finetuning import choose_start, fit_config
from kit.stages.discovery.locations import locate
from kit.stages.discovery.metric import suggest
from kit.stages.discovery.metric_names import read_metric
from kit.stages.discovery.slides import advise_tiles

METRICS_OF_NUMBERS = ("rmse", "mae", "r2")  # metrics that imply numbers as labels


@dataclass(frozen=True)
class InitResult:
    """A written config.json, its recipe with the reason, and its metric."""

    path: Path
    recipe: str
    why: str
    findings: tuple[str, ...]
    metric: dict[str, Any]


def initialise(
    root: StrPath,
    recipe: str = "auto",
    given: Mapping[str, str] | None = None,
    force: bool = False,
    val: trees.ValUse = "join",
    metric: str | None = None,
    weights: StrPath | None = None,
    network: str | None = None,
    seconds: int | None = None,
    source: StrPath | None = None,
) -> InitResult:
    """Writes config.json and config.schema.json into a folder, for a competition's files; `given` are keys of `data`.

    The files are only read. They are in the folder `source`, by default in the workspace, in the folder of a
    given table, or on Kaggle in the input folder (`kit.stages.discovery.locations`). `val` is the role of
    images in a validation folder: they join the training rows, are held out, or are ignored. `metric` is by
    default the one that the sample submission suggests. Fine-tuning starts from the file `weights`, with
    timm's `network`. Image size and epochs are fitted to `seconds` per network.

    Raises ConfigError: C20 if the files do not show a setting, C21 if config.json exists, C52 if no network
    fits the weights, C53 if the workspace is read-only.
    """
    root = Path(root).resolve()
    path = root / CONFIG_FILE
    if path.exists() and not force:
        raise ConfigError(f"{path} already exists", code="C21", hint="kit init --force overwrites it")
    check_writable([root])
    check_not_read_only(root)
    if metric is not None and read_metric(metric, root)["name"] in METRICS_OF_NUMBERS:
        given = {"target": "numbers", **(given or {})}
    discovered = find_data(root, source, given, val)
    check_writable(value for value in discovered.data.values() if isinstance(value, str))
    attached: list[str] = []
    if weights is None and network is None and recipe != "scratch":
        weights, attached = find_attached_weights(root / Data(**discovered.data).folder)
    start = choose_start(root, recipe, weights, network)
    as_given = "weights are attached" if attached and weights else "as asked for"
    name, why = recipes.choose(recipe) if start is None else ("finetune", as_given)
    sizes = list(discovered.sizes) or recipes.image_sizes(_some_images(root, Data(**discovered.data)))
    scored, reason = suggest(root, Data(**discovered.data), metric)
    config, reasons = recipes.config(
        name, discovered.data, [min(size) for size in sizes], scored, start, discovered.rows
    )
    config |= {"splitter": discovered.splitter} if discovered.splitter else {}
    config |= discovered.config
    if seconds:
        reasons = fit_config(root, config, reasons, seconds)
    by_recipe = {key: value for key, value in config.items() if key not in ("data", "metric")}
    geometry = Geometry.of(Experiment.model_validate(split(config, Experiment)))
    cache = choose_cache_folder(root, estimate_cache(sizes, geometry, discovered.images))
    config["cache_folder"] = cache.folder
    slug = kaggle_folders.competition_slug(root / Data(**discovered.data).folder)
    if slug is not None:
        config["kaggle"] = slug
        attached.append(f"kaggle: {slug}, the competition for uploads and scores")
    write_json(root / SCHEMA_FILE, config_schema(root, name, by_recipe))
    write_text(path, config_text({"$schema": f"./{SCHEMA_FILE}", **without_defaults(config)}))
    settings_text = "".join(
        f" {key}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for key, value in scored.items()
        if key != "name"
    )
    chosen = f"metric: {scored['name']}{settings_text} ({reason}); kit init --metric NAME sets another one"
    large = advise_tiles(sizes, Data(**discovered.data).max_pixels)
    findings = (*discovered.findings, *large, chosen, *attached, *reasons, cache.finding)
    return InitResult(path, name, why, findings, scored)


def find_data(
    root: Path, source: StrPath | None, given: Mapping[str, str] | None = None, val: trees.ValUse = "join"
) -> Discovery:
    """Returns the `data` section of a workspace whose files may be elsewhere.

    Raises as `locate` and `discover` do, and ConfigError C20 if the workspace is in a folder whose images are rows.
    """
    places = locate(root, source, given or {})
    if places.folder.resolve() == root:
        discovered = discover(root, places.options, val, places.outside)
        note = "the data folder is the workspace: kit writes runs/, cache/ and submissions/ beside the data"
        return (
            replace(discovered, findings=(note, *discovered.findings)) if source is not None else discovered
        )
    discovered = discover(places.folder, places.options, val, places.outside, skipped=root)
    for key in ("train", "val", "test"):
        train_path = discovered.data.get(key)
        folder = places.folder / (train_path if isinstance(train_path, str) else "train.csv")
        if folder.is_dir() and root.is_relative_to(folder.resolve()):
            raise ConfigError(
                f"the workspace {root} is in data.{key}, whose images are rows",
                code="C20",
                hint=f"in another folder: kit init --data {places.folder}",
            )
    paths = change_paths(discovered.data, lambda path: _in_workspace(path, root))
    data = {"folder": places.as_config(root), **discovered.data, **paths}
    return replace(
        discovered, data=data, findings=(*([places.why] if places.why else ()), *discovered.findings)
    )


def _in_workspace(path: str, root: Path) -> str:
    """Returns an absolute path in the workspace in the form of config.json; any other path unchanged."""
    inside = Path(path).is_absolute() and Path(path).is_relative_to(root)
    return f"./{Path(path).relative_to(root).as_posix()}" if inside else path


def check_not_read_only(folder: Path) -> None:
    """Raises ConfigError C53 for a folder that kit cannot write to."""
    if not os.access(folder, os.W_OK):
        raise ConfigError(
            f"{folder} is read-only, and kit writes config.json there",
            code="C53",
            hint=f"in a folder of your own: kit init --data {folder}",
        )


def _some_images(root: Path, data: Data) -> list[Path]:
    """Returns up to 32 images of the pattern's folder, the first in the order of their paths."""
    train = data.train_tables[0]
    start = train if (root / train).is_dir() else data.images.partition("{")[0]
    folder = root / start if (root / start).is_dir() else (root / start).parent
    paths: list[Path] = []
    for path, inner, names in os.walk(folder):
        inner.sort()
        images = [
            name
            for name in sorted(names)
            if name.lower().endswith(data.extensions) or is_image_file(f"{path}/{name}")
        ]
        paths += [Path(path, name) for name in images[:32]]
        if len(paths) >= 32:
            break
    return paths[:32]
