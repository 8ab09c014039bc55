"""The Python of docs/cookbook.md runs as it stands: neighbours of slices, frames of a video, and mel spectrograms."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy.io import wavfile

from kit.config.models import Data
from kit.images.reader import ImageSource

PAGE = (Path(__file__).parents[2] / "docs" / "cookbook.md").read_text()
SLICES, FRAMES, MELS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)[:3]


def test_a_slice_has_its_neighbours_by_place_and_an_outer_one_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ["id,study,slice", "c,s,10", "a,s,1", "b,s,2", "z,t,5"]
    for name in ("train.csv", "test.csv"):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    exec(SLICES, {})
    for name in ("train.csv", "test.csv"):
        table = pd.read_csv(name, index_col="id")
        assert table["before"].to_dict() == {"a": "a", "b": "a", "c": "b", "z": "z"}
        assert table["after"].to_dict() == {"a": "b", "b": "c", "c": "c", "z": "z"}


def test_frames_of_a_video_are_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("clips", "frames"):
        (tmp_path / folder).mkdir()
    writer = cv2.VideoWriter("clips/a.avi", cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for number in range(16):
        writer.write(np.full((48, 64, 3), 10 * number, np.uint8))
    writer.release()
    exec(FRAMES, {})
    frames = sorted((tmp_path / "frames").iterdir())
    assert [file.name for file in frames] == [f"a_{number:05d}.jpg" for number in range(0, 16, 2)]
    source = ImageSource.open(Data())
    levels = [source.read(file).pixels.mean() for file in frames]
    assert levels == pytest.approx(np.arange(0, 160, 20), abs=4)


def test_a_tone_is_the_brightest_row_of_its_spectrogram(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("audio", "mels"):
        (tmp_path / folder).mkdir()
    rate, hertz = 16_000, 2_000
    sound = 8_000 * np.sin(2 * np.pi * hertz * np.arange(2 * rate) / rate)
    wavfile.write(tmp_path / "audio" / "a.wav", rate, sound.astype(np.int16))
    exec(MELS, {})
    values = np.load(tmp_path / "mels" / "a.npy")
    assert values.shape[0] == 128
    mel = 2595 * np.log10(1 + hertz / 700)
    band = mel / (2595 * np.log10(1 + rate / 1400)) * 129 - 1
    assert abs(int(values.mean(axis=1).argmax()) - band) <= 1
    source = ImageSource.open(Data(reader={"name": "npy", "percentiles": [1, 99]}))
    assert source.read(tmp_path / "mels" / "a.npy").pixels.shape == (*values.shape, 3)
