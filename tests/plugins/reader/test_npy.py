"""npy: arrays of every type as numpy loads them, scaled by the declared values; nothing pickled is opened."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from kit.kinds import Reader
from tests.plugins.reader.read import read, refusal

RNG = np.random.default_rng(0)
SHARES = RNG.random((12, 17, 3))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_floats_become_bytes_of_their_range(tmp_path: Path, dtype: str) -> None:
    file = tmp_path / "a.npy"
    np.save(file, (SHARES * 8 - 4).astype(dtype))
    wanted = np.rint((np.load(file).astype(float) + 4) / 8 * 255)
    assert np.abs(read(file, "npy", range=[-4, 4]) - wanted).max() <= (dtype == "float16")


@pytest.mark.parametrize(
    ("dtype", "white"), [("uint16", 4095), ("int64", 4095), (">u2", 4095), ("int16", 4095)]
)
def test_whole_numbers_become_bytes_of_their_range(tmp_path: Path, dtype: str, white: int) -> None:
    values = RNG.integers(0, 5000, (9, 8, 3)).astype(dtype)
    np.save(tmp_path / "a.npy", values)
    wanted = np.clip(np.rint(values.astype(float) / white * 255), 0, 255)
    assert np.array_equal(read(tmp_path / "a.npy", "npy", range=[0, white]), wanted)


def test_bytes_are_read_as_they_are_in_either_order_of_memory(tmp_path: Path) -> None:
    values = RNG.integers(0, 256, (9, 8, 3), dtype=np.uint8)
    for number, each in enumerate((values, np.asfortranarray(values))):
        np.save(tmp_path / f"{number}.npy", each)
        assert np.array_equal(read(tmp_path / f"{number}.npy", "npy"), values)


def test_grey_is_repeated_and_percentiles_are_of_each_channel(tmp_path: Path) -> None:
    np.save(tmp_path / "grey.npy", np.arange(101.0).reshape(1, 101).repeat(2, 0))
    pixels = read(tmp_path / "grey.npy", "npy", percentiles=[10, 90])
    assert pixels[0, [0, 10, 50, 90, 100], 0].tolist() == [0, 0, 128, 255, 255]
    assert (pixels == pixels[:, :, :1]).all()
    np.save(tmp_path / "two.npy", np.stack([np.arange(101.0), 5 * np.arange(101.0)])[:, None].repeat(2, 1))
    both = read(tmp_path / "two.npy", "npy", 2, percentiles=[0, 100])
    assert np.abs(both[:, :, 0].astype(int) - both[:, :, 1]).max() <= 1  # 5 x rounds otherwise


def test_a_constant_channel_is_black(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full((4, 4), 7.0))
    assert not read(tmp_path / "a.npy", "npy", percentiles=[1, 99]).any()


def test_channels_are_first_or_last_and_some_can_be_taken(tmp_path: Path) -> None:
    values = RNG.integers(0, 256, (6, 10, 8), dtype=np.uint8)
    np.save(tmp_path / "first.npy", values)
    np.save(tmp_path / "last.npy", values.transpose(1, 2, 0))
    for name in ("first", "last"):
        assert np.array_equal(read(tmp_path / f"{name}.npy", "npy", 6), values.transpose(1, 2, 0))
        taken = read(tmp_path / f"{name}.npy", "npy", take=[4, 0, 2])
        assert np.array_equal(taken, values.transpose(1, 2, 0)[:, :, [4, 0, 2]])
    assert refusal(tmp_path / "last.npy", "npy") == "D15 has 6 channels, not 3 (channels=6)"
    assert refusal(tmp_path / "last.npy", "npy", take=[6]).startswith("D15 has channels 0 to 5, and no 6")


def test_the_logarithm_is_scaled_and_nan_is_replaced_if_asked(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[0.0, np.exp(-4)], [1, np.exp(8)], [np.exp(9), np.nan]]))
    options = {"range": [float(np.exp(-4)), float(np.exp(8))], "log": True}
    assert refusal(tmp_path / "a.npy", "npy", **options).startswith("D12 1 of 6 values are NaN")
    pixels = read(tmp_path / "a.npy", "npy", 1, nan=1.0, **options)
    assert pixels[:, :, 0].tolist() == [[0, 0], [85, 255], [255, 85]]


def test_an_image_of_a_stack_is_read_by_its_number(tmp_path: Path) -> None:
    stack = RNG.integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)
    np.save(tmp_path / "stack.npy", stack)
    assert np.array_equal(read(tmp_path / "stack.npy::3", "npy"), stack[3])
    assert refusal(tmp_path / "stack.npy::5", "npy") == "D02 no image '5' among 5, counted from 0"
    assert refusal(tmp_path / "stack.npy::-1", "npy").startswith("D02")
    np.savez_compressed(tmp_path / "named.npz", a=stack[0], b=stack[1])
    assert np.array_equal(read(tmp_path / "named.npz::b", "npy"), stack[1])
    assert refusal(tmp_path / "named.npz::c", "npy") == "D02 no array 'c'; it has 2: a, b"
    np.savez(tmp_path / "one.npz", stack[2])
    assert np.array_equal(read(tmp_path / "one.npz", "npy"), stack[2])


def test_values_of_more_than_8_bits_ask_for_their_range(tmp_path: Path) -> None:
    np.save(tmp_path / "deep.npy", np.arange(4000, dtype=np.uint16).reshape(50, 80))
    assert refusal(tmp_path / "deep.npy", "npy") == (
        "D11 uint16 values whole numbers up to 3999 (data.reader.range=[0,4095])"
    )
    np.save(tmp_path / "float.npy", SHARES)
    assert refusal(tmp_path / "float.npy", "npy").startswith("D12 float64 values from 0 to 1")


def test_what_is_no_array_is_refused_and_nothing_is_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "pickle.npy", np.array([print], dtype=object))
    np.savez(tmp_path / "pickle.npz", np.array([print], dtype=object))
    for name in ("pickle.npy", "pickle.npy::0", "pickle.npz"):
        assert refusal(tmp_path / name, "npy").startswith("D50 refused: contains pickled objects")
    content = io.BytesIO()
    np.save(content, SHARES)
    (tmp_path / "cut.npy").write_bytes(content.getvalue()[:-9])
    assert refusal(tmp_path / "cut.npy", "npy").startswith("D05 truncated .npy file")
    (tmp_path / "bomb.npy").write_bytes(
        content.getvalue()[:128].replace(b"(12, 17, 3)", b"(1200000000000, 17, 3)")
    )
    assert refusal(tmp_path / "bomb.npy", "npy").startswith("D05")
    for name, values in {"flat": np.zeros(5), "none": np.zeros((0, 5)), "4d": np.zeros((2, 2, 2, 2))}.items():
        np.save(tmp_path / f"{name}.npy", values)
        assert refusal(tmp_path / f"{name}.npy", "npy", range=[0, 1]).startswith("D15")
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("a.npy", content.getvalue())
    bomb = (tmp_path / "bomb.npz").read_bytes()
    size, claimed = (number.to_bytes(4, "little") for number in (len(content.getvalue()), 2**31))
    (tmp_path / "bomb.npz").write_bytes(bomb.replace(size, claimed))
    assert refusal(tmp_path / "bomb.npz", "npy").startswith("D10 claims 2,147,483,648 bytes, and only")
    np.save(tmp_path / "text.npy", np.array([["a"]]))
    assert refusal(tmp_path / "text.npy", "npy") == "D15 holds <U1 values, not numbers"
    np.save(tmp_path / "large.npy", np.zeros((10_001, 10_000), np.uint8))
    assert refusal(tmp_path / "large.npy", "npy").startswith("D10 has 100,010,000 pixels")


@pytest.mark.parametrize(
    ("dtype", "factor", "suggestion"),
    [("float32", 1, (0, 1)), ("uint16", 4000, (0, 4095)), ("int64", 255, (0, 255)), ("uint8", 200, None)],
)
def test_init_suggests_the_range_of_the_values(
    tmp_path: Path, dtype: str, factor: int, suggestion: tuple[float, float] | None
) -> None:
    np.save(tmp_path / "a.npy", (SHARES * factor).astype(dtype))
    plugin, why = Reader.open("npy").suggest([tmp_path / "a.npy"])
    assert plugin.spec()["range"] == (None if suggestion is None else list(suggestion))
    assert why


def test_init_suggests_the_middle_of_other_values_and_black_for_nan(tmp_path: Path) -> None:
    values = np.arange(-1000.0, 1001).reshape(3, 667)
    values[0, 0] = np.nan
    np.save(tmp_path / "a.npy", values)
    plugin, why = Reader.open("npy").suggest([tmp_path / "a.npy"])
    assert plugin.spec()["range"] == pytest.approx([-989, 990], abs=1)
    assert plugin.spec()["nan"] == plugin.spec()["range"][0]
    assert "holds 99 % of them" in why


@pytest.mark.parametrize(
    "options",
    [
        {"range": [1, 1]},
        {"range": [0, 1], "percentiles": [0, 1]},
        {"percentiles": [0, 101]},
        {"log": True},
        {"log": True, "range": [0, 1]},
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, object]) -> None:
    from kit.plugins.reader.npy import Npy

    with pytest.raises(ValidationError):
        Npy.from_options(options)
