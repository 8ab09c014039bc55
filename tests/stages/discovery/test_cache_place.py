"""kit init puts the cache where it fits, and says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from kit.config.workspace import Workspace
from kit.errors import ConfigError
from kit.images.cache import Geometry, create_folder
from kit.stages.discovery.cache_place import choose_cache_folder, estimate_cache
from kit.stages.discovery.initialise import initialise
from tests.drawn_tables import usual

GB = 10**9


@pytest.fixture
def working(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Kaggle's working folder."""
    (tmp_path / "kaggle" / "working").mkdir(parents=True)
    monkeypatch.setenv("KIT_KAGGLE", str(tmp_path / "kaggle"))
    return tmp_path / "kaggle" / "working"


def free(monkeypatch: pytest.MonkeyPatch, working: int, temp: int) -> None:
    monkeypatch.setattr(
        "kit.stages.discovery.cache_place.free_space", lambda path: temp if "temp" in path.parts else working
    )


def test_the_size_follows_the_images_shape() -> None:
    assert estimate_cache([(200, 100), (100, 200), (300, 300)], Geometry(100), 10) == 3 * 100 * 200 * 10
    assert estimate_cache([(200, 100)], Geometry(100, "pad"), 10) == 3 * 100 * 100 * 10
    assert estimate_cache([], Geometry(100), 10) == 3 * 100 * 100 * 10


@pytest.mark.parametrize(
    ("working_free", "temp_free", "folder", "words"),
    [
        (20 * GB, 60 * GB, "temp/kit-cache", "which Kaggle does not keep (60 GB are free)"),
        (20 * GB, 4 * GB, "", "in {working}/cache (20 GB are free)"),
        (4 * GB, 4 * GB, "", "too much for {working} (4 GB are free): a smaller cache_size"),
    ],
)
def test_the_first_folder_with_room_for_runs_too_is_taken(
    working: Path, monkeypatch: pytest.MonkeyPatch, working_free: int, temp_free: int, folder: str, words: str
) -> None:
    free(monkeypatch, working_free, temp_free)
    chosen = choose_cache_folder(working, 3 * GB)
    assert chosen.folder == (str(working.parent / folder) if folder else "cache")
    assert chosen.finding.startswith("cache: about 3 GB")
    assert words.format(working=working) in chosen.finding


def test_elsewhere_than_on_kaggle_the_workspace_has_it(tmp_path: Path, working: Path) -> None:
    assert choose_cache_folder(tmp_path, 1000).folder == "cache"


def test_the_environment_goes_first(working: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_CACHE", str(working / "shared"))
    assert "in KIT_CACHE" in choose_cache_folder(working, 3 * GB).finding


@pytest.mark.usefixtures("working")
def test_the_config_names_a_folder_that_commands_use(working: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    usual(working)
    for name in (f"images/train/a{number:03d}.jpg" for number in range(30)):
        Image.new("RGB", (40, 20)).save(working / name)
    result = initialise(working, "scratch")
    temp = working.parent / "temp" / "kit-cache"
    assert json.loads((working / "config.json").read_text())["cache_folder"] == str(temp)
    # 30 + 12 images, 64 px for such small images, cached at 1.25 times that and twice as wide as high
    assert f"cache: about {3 * 80 * 160 * 42 / 1e6:.3g} MB in {temp}" in result.findings[-1]
    assert Workspace.open(working).cache == temp
    assert Workspace.open(working, "cache_folder=here").cache == working / "here"


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot create") as caught:
        create_folder(tmp_path / "file" / "cache")
    assert caught.value.code == "C54"
