"""The base of readers of arrays: finds the axis of the channels, and turns values into pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from kit.core.pixel_types import PixelType, scale_shares
from kit.errors import DataError
from kit.kinds import Decoded, Reader, ReadRules

if TYPE_CHECKING:
    from kit.kinds.reader import Record

WHITES = (255, 1023, 4095, 16383, 65535)  # largest values of 8, 10, 12, 14 and 16 bits
SAMPLE_IMAGES, SAMPLE_VALUES = 16, 20_000  # number of images, and of values of each, that `suggest` uses
USUAL_SHARE = (0.5, 99.5)  # percentiles of the values that a suggested range keeps


class ArrayReader(Reader):
    """Reads arrays of numbers."""

    range: tuple[float, float] | None = Field(
        None, description="values of black and white; by default only 8-bit values are read, as they are"
    )
    percentiles: tuple[float, float] | None = Field(
        None,
        description="percentiles of each channel of an image that become black and white, such as [1, 99]",
    )
    log: bool = Field(False, description="scale the logarithm of the values; range must begin above 0")
    nan: float | None = Field(
        None, description="value in place of NaN; by default an image with NaN is refused"
    )
    axes: Literal["auto", "hwc", "chw"] = Field(
        "auto",
        description="order of height, width and channels; auto: the channels are the last or first axis that has "
        "as many entries as `channels`, else the shorter one",
    )
    take: tuple[int, ...] = Field((), description="channels to use, counted from 0; by default all")

    @model_validator(mode="after")
    def _scaling(self) -> Self:
        if self.range and self.percentiles:
            raise ValueError("range and percentiles exclude each other")
        for name, pair in (("range", self.range), ("percentiles", self.percentiles)):
            if pair and not (math.isfinite(pair[0]) and math.isfinite(pair[1]) and pair[0] < pair[1]):
                raise ValueError(f"{name} must rise, not {pair}")
        if self.percentiles and not 0 <= self.percentiles[0] < self.percentiles[1] <= 100:
            raise ValueError(f"percentiles must lie in 0 to 100, not {self.percentiles}")
        if self.log and not (self.range and self.range[0] > 0):
            raise ValueError("log needs a range that begins above 0")
        return self

    def decode(self, record: Record, rules: ReadRules) -> Decoded:
        return Decoded(self.to_pixels(self.array(record, rules), rules))

    def array(self, record: Record, rules: ReadRules) -> np.ndarray:
        """Returns the array of a record, with two or three axes."""
        if not isinstance(record, np.ndarray):
            raise DataError("is no array", code="D15")
        return record

    def to_pixels(self, array: np.ndarray, rules: ReadRules) -> np.ndarray:
        """Turns an array of numbers into an image, (height, width, channels) of the requested type, or uint8.

        Complex numbers are their magnitude.

        Raises DataError D10, D15 for the shape, D11 for values of more than 8 bits and D12 for floats without a
        declared range, D12 for values that are not finite.
        """
        array = _magnitude(array)
        if array.dtype.kind not in "biuf":
            raise DataError(f"holds {array.dtype} values, not numbers", code="D15")
        return self.scale(self._arrange(array, rules), rules.pixel_type)

    def _arrange(self, array: np.ndarray, rules: ReadRules) -> np.ndarray:
        """Returns the array as (height, width, channels), with the requested channels."""
        check_size(array.shape, rules.max_pixels)
        if array.ndim == 2:
            array = array[:, :, None]
        elif self.axes == "chw" or (self.axes == "auto" and _has_channels_first(array.shape, rules.channels)):
            array = array.transpose(1, 2, 0)
        if not self.take:
            return array
        wrong = [number for number in self.take if not 0 <= number < array.shape[2]]
        if wrong:
            raise DataError(
                f"has channels 0 to {array.shape[2] - 1}, and no {wrong[0]} (data.reader.take)", code="D15"
            )
        return array[:, :, list(self.take)]

    def scale(self, values: np.ndarray, pixel_type: PixelType = "uint8") -> np.ndarray:
        """Turns values (height, width, channels) into pixels: (v - black) / (white - black) of the type's
        white, clipped.

        8-bit values without a range stay as they are, and so do 16-bit values for a cache of uint16.
        """
        if values.dtype == bool:
            return values.astype(np.uint8) * 255
        if values.dtype.name in ("uint8", pixel_type) and values.dtype.kind == "u" and not self._has_scale():
            return values
        if values.dtype.kind == "f":
            values = self._finite(values)
        if not self._has_scale():
            raise _ask_for_range(values)
        if values.dtype in (np.uint8, np.uint16) and self.range:
            every = np.arange(np.iinfo(values.dtype).max + 1, dtype=values.dtype)
            pixels: np.ndarray = self._to_pixels(every, pixel_type)[values]
            return pixels
        return self._to_pixels(values, pixel_type)

    def _has_scale(self) -> bool:
        return self.range is not None or self.percentiles is not None

    def _to_pixels(self, values: np.ndarray, pixel_type: PixelType) -> np.ndarray:
        wide: np.ndarray = values.astype(np.float64)
        black, white = self._limits(wide)
        if self.log and self.range:
            wide = np.log(np.clip(wide, *self.range))
        return scale_shares((wide - black) / np.maximum(white - black, np.finfo(np.float64).tiny), pixel_type)

    def _limits(self, values: np.ndarray) -> tuple[Any, Any]:
        """Returns the values of black and white, of all channels or of each."""
        if self.range is None:
            black, white = np.percentile(values, self.percentiles or (0, 100), axis=(0, 1))
            return black, white
        low, high = self.range
        return (math.log(low), math.log(high)) if self.log else (low, high)

    def _finite(self, values: np.ndarray) -> np.ndarray:
        finite = np.isfinite(values)
        if finite.all():
            return values
        if infinite := int(np.isinf(values).sum()):
            raise DataError(f"{infinite} of {values.size} values are infinite", code="D12")
        if self.nan is None:
            count = int((~finite).sum())
            raise DataError(f"{count} of {values.size} values are NaN (data.reader.nan)", code="D12")
        return np.where(finite, values, np.asarray(self.nan, values.dtype))

    def suggest(self, locations: Sequence[Path]) -> tuple[Self, str]:
        """Returns the recipe with the range that the values of some images show, and the range in words."""
        sampled = [
            values for location in locations[:SAMPLE_IMAGES] if (values := self._sample(location)) is not None
        ]
        if not sampled:
            return self, ""
        if all(values.dtype in (np.uint8, np.bool_) for values in sampled):
            return self, "8-bit values"
        own = np.concatenate([values.astype(np.float64).ravel() for values in sampled])
        known = own[np.isfinite(own)]
        if not len(known):
            return self, ""
        limits, why = suggest_range(known)
        updates: dict[str, Any] = {"range": limits}
        if len(known) < len(own):
            updates["nan"] = limits[0]
            why += f"; {1 - len(known) / len(own):.1%} are not finite and become black"
        return self.model_copy(update=updates), f"{sampled[0].dtype} values, {why}"

    def _sample(self, location: Path) -> np.ndarray | None:
        """Returns some values of an image, or None if it cannot be read."""
        from kit.core.locations import parts_of

        try:
            part = parts_of(location)[0]
            record = self.load(Path(part.files()[0]), part.key)
            values = _magnitude(self.array(record, ReadRules())).ravel()
        except (DataError, IndexError, OSError):
            return None
        return values[:: max(1, len(values) // SAMPLE_VALUES)]


def _magnitude(array: np.ndarray) -> np.ndarray:
    """Returns the magnitudes of complex numbers; other arrays as they are."""
    return np.abs(array) if array.dtype.kind == "c" else array


def suggest_range(values: np.ndarray) -> tuple[tuple[float, float], str]:
    """Returns black and white for finite values, and the reason in words."""
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high > 1 and (values == np.floor(values)).all() and high <= WHITES[-1]:
        top = next(each for each in WHITES if high <= each)
        return (0.0, float(top)), f"whole numbers up to {high:g}: range [0, {top}]"
    if low >= 0 and high <= 1:
        return (0.0, 1.0), "from 0 to 1: range [0, 1]"
    black, white = (float(f"{number:.3g}") for number in np.percentile(values, USUAL_SHARE))
    if white <= black:
        black, white = low, high if high > low else low + 1
    return (black, white), f"from {low:.3g} to {high:.3g}: range [{black:g}, {white:g}] holds 99 % of them"


def check_size(shape: Sequence[int], max_pixels: int) -> None:
    """Raises DataError D15 for an array that is not an image, D10 for one with too many pixels."""
    if len(shape) not in (2, 3) or 0 in shape:
        raise DataError(f"an array of shape {tuple(shape)} is no image", code="D15")
    sides = sorted(shape)[-2:]
    if math.prod(sides) > max_pixels:
        raise DataError(
            f"has {math.prod(sides):,} pixels, more than the limit {max_pixels:,} (data.max_pixels)",
            code="D10",
        )


def _has_channels_first(shape: Sequence[int], channels: int) -> bool:
    first, last = shape[0], shape[2]
    if (first == channels) != (last == channels):
        return first == channels
    return first < last


def _ask_for_range(values: np.ndarray) -> DataError:
    limits, why = suggest_range(values.astype(np.float64).ravel())
    line = f"data.reader.range=[{limits[0]:g},{limits[1]:g}]"
    code = "D12" if values.dtype.kind == "f" else "D11"
    return DataError(f"{values.dtype} values {why.partition(':')[0]} ({line})", code=code)
