"""DICOM images, displayed as the standard prescribes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import BeforeValidator, Field, field_validator

from kit.core.image_files import read_image_bytes
from kit.core.locations import parts_of
from kit.core.pixel_types import WHITE, PixelType, scale_shares
from kit.errors import DataError
from kit.kinds import Decoded, ReadRules
from kit.kinds.reader import Keys
from kit.plugins.reader._arrays import SAMPLE_IMAGES, ArrayReader, check_size

if TYPE_CHECKING:
    from kit.kinds.reader import Record

PIXEL_TAG = b"\xe0\x7f\x10\x00"  # (7FE0,0010) Pixel Data, little endian
GREY = ("MONOCHROME1", "MONOCHROME2")
MAX_LOOKUP = 2**16  # values whose pixels are computed once and looked up
INSTALL = "pip install 'kit-competitions[medical]'"


def _several(windows: Any) -> Any:
    """Returns one window as a list of one."""
    is_one = isinstance(windows, list | tuple) and windows and not isinstance(windows[0], list | tuple)
    return [windows] if is_one else windows


class Dicom(ArrayReader):
    """DICOM files: modality LUT, then the file's VOI LUT or window, or `window`. MONOCHROME1 is inverted.

    Several windows are the channels of the image. A key is the number of a frame, counted from 0:
    `{study}.dcm::{frame}`. Without a window the range of the stored bits sets black and white, or `range` and
    `percentiles` of the values after the modality LUT. Compressed files need the packages of kit[medical].

    Source: DICOM PS3.3 C.11.1 (modality LUT) and C.11.2 (VOI LUT), by pydicom.
    """

    package: ClassVar[str] = "pydicom"
    extra: ClassVar[str] = "medical"
    endings: ClassVar[tuple[str, ...]] = (".dcm", ".dicom")
    keys: ClassVar[Keys] = "optional"
    window: Annotated[tuple[tuple[float, float], ...], BeforeValidator(_several)] = Field(
        (),
        description="centre and width of the values to show, such as [40, 80]; several windows are the channels",
    )
    voi: bool = Field(True, description="use the file's own VOI LUT or window, if `window` is not given")
    frame: int | None = Field(
        None, ge=0, description="frame of a multi-frame file; by default such files are refused"
    )

    @field_validator("window")
    @classmethod
    def _widths(cls, windows: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        if any(width < 1 for _, width in windows):
            raise ValueError("the width of a window is at least 1")
        return windows

    def load(self, file: Path, key: str) -> Record:
        content = super().load(file, "")
        if not key:
            return content
        if not key.isdecimal():
            raise DataError(f"no frame {key!r}: frames are counted from 0", code="D02")
        assert isinstance(content, bytes)
        return b"%s%s%08d" % (content, _FRAME, int(key))

    def decode(self, record: Record, rules: ReadRules) -> Decoded:
        if not isinstance(record, bytes):
            raise DataError("is an array, not a DICOM file", code="D06")
        content, frame = _split(record)
        image = _open(content)
        stored = self._frame_values(image, self.frame if frame is None else frame, rules)
        if image.PhotometricInterpretation not in GREY:
            return Decoded(_colours(stored, image, rules.pixel_type))
        pixels = self._grey(stored, image, rules.pixel_type)
        is_white_zero = image.PhotometricInterpretation == "MONOCHROME1"
        return Decoded(pixels.dtype.type(WHITE[pixels.dtype.name]) - pixels if is_white_zero else pixels)

    def suggest(self, locations: Sequence[Path]) -> tuple[Self, str]:
        """Returns itself, and how the files declare their display."""
        encodings = set()
        for location in locations[:SAMPLE_IMAGES]:
            try:
                image = _open(read_image_bytes(Path(parts_of(location)[0].file)))
            except DataError:
                continue
            way = (
                "VOI LUT"
                if image.get("VOILUTSequence")
                else "window"
                if "WindowWidth" in image
                else "full range"
            )
            encodings.add(f"{image.PhotometricInterpretation} of {image.BitsStored} bits by {way}")
        return self, ", ".join(sorted(encodings))

    def array(self, record: Record, rules: ReadRules) -> np.ndarray:
        assert isinstance(record, bytes)
        content, frame = _split(record)
        return self._frame_values(_open(content), self.frame if frame is None else frame, rules)

    def _frame_values(self, image: Any, frame: int | None, rules: ReadRules) -> np.ndarray:
        """Returns the stored values of a frame, (rows, columns) or (rows, columns, 3)."""
        frames = int(image.get("NumberOfFrames") or 1)
        check_size((int(image.Rows), int(image.Columns)), rules.max_pixels)
        if frames > 1 and frame is None:
            raise DataError(
                f"multi-frame DICOM ({frames} frames; data.reader.frame=0 uses the first)", code="D12"
            )
        if frame is not None and frame >= frames:
            raise DataError(f"has {frames} frames, and no frame {frame}, counted from 0", code="D12")
        from pydicom.pixels import pixel_array

        try:
            values: np.ndarray = pixel_array(image, index=frame or 0)
        except (NotImplementedError, RuntimeError) as error:
            name = image.file_meta.TransferSyntaxUID.name
            if "missing" in str(error) or isinstance(error, NotImplementedError):
                raise DataError(
                    f"unsupported format: DICOM compressed as {name} ({INSTALL})", code="D13"
                ) from None
            raise DataError(f"corrupt DICOM ({name}): {_first_line(error)}", code="D05") from None
        except Exception as error:  # any error of a decoder
            raise DataError(f"corrupt DICOM: {_first_line(error)}", code="D05") from None
        return values

    def _grey(self, stored: np.ndarray, image: Any, pixel_type: PixelType) -> np.ndarray:
        """Returns the pixels of stored values, by a lookup table of each possible value if that is less work."""
        low, high = int(stored.min()), int(stored.max())
        if stored.dtype.kind not in "iu" or high - low >= min(stored.size, MAX_LOOKUP) or self.percentiles:
            return self._show_all(stored, image, pixel_type)
        every = np.arange(low, high + 1).astype(stored.dtype)[None]
        pixels: np.ndarray = self._show_all(every, image, pixel_type)[0][stored.astype(np.int64) - low]
        return pixels

    def _show_all(self, stored: np.ndarray, image: Any, pixel_type: PixelType) -> np.ndarray:
        from pydicom.pixels import apply_modality_lut, apply_voi

        values = apply_modality_lut(stored, image)
        if self.window:
            frames: np.ndarray = np.stack(
                [_show(values, pixel_type, *window) for window in self.window], axis=2
            )
            return frames
        if self.range or self.percentiles:
            return self.scale(values[:, :, None], pixel_type)
        if self.voi and image.get("VOILUTSequence"):
            white = 2 ** int(image.VOILUTSequence[0].LUTDescriptor[2]) - 1
            return scale_shares(apply_voi(values, image) / white, pixel_type)
        if self.voi and "WindowCenter" in image and "WindowWidth" in image:
            window = float(_first(image.WindowCenter)), float(_first(image.WindowWidth))
            return _show(values, pixel_type, *window, image.get("VOILUTFunction") or "LINEAR")
        black, white = (float(value) for value in apply_modality_lut(_bit_limits(image, stored.dtype), image))
        low, high = sorted((black, white))
        return scale_shares((values - low) / max(high - low, 1e-9), pixel_type)


_FRAME = b"\0kit frame\0"  # between a file's content and the number of the frame to read


def _split(record: bytes) -> tuple[bytes, int | None]:
    """Returns a file's content, and the frame that its key names."""
    head, mark, number = record[-len(_FRAME) - 8 :].partition(_FRAME)
    return (record[: -len(_FRAME) - 8], int(number)) if mark and not head else (record, None)


def _open(content: bytes) -> Any:
    """Returns the data set with its pixels not decoded yet. Raises DataError D05, D06 or D17."""
    import pydicom

    warnings.filterwarnings("ignore", category=UserWarning, module="pydicom")
    is_marked = content[128:132] == b"DICM"
    try:
        image = pydicom.dcmread(BytesIO(content), force=True)
        has_pixels = any(name in image for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"))
    except Exception as error:  # any error of the parser
        if is_marked:
            raise DataError(f"corrupt DICOM: {_first_line(error)}", code="D05") from None
        raise DataError(f"not a DICOM file: begins with {content[:12]!r}", code="D06") from None
    if not is_marked and not (has_pixels and "Rows" in image):
        raise DataError(f"not a DICOM file: begins with {content[:12]!r}", code="D06")
    missing = [
        name for name in ("Rows", "Columns", "PhotometricInterpretation", "BitsStored") if name not in image
    ]
    if not has_pixels and PIXEL_TAG in content:  # pydicom leaves out an element that is cut off
        raise DataError("corrupt DICOM: its pixels are cut off", code="D05")
    if not has_pixels or missing:
        what = f"no {', '.join(missing)}" if has_pixels else "no pixels"
        cut = ", or it is cut off" if "Rows" in image and not has_pixels else ""
        raise DataError(f"DICOM with {what} ({_kind(image)}){cut}", code="D17")
    if not hasattr(image, "file_meta") or "TransferSyntaxUID" not in image.file_meta:
        is_implicit, is_little = image.original_encoding
        names = {(True, True): "ImplicitVRLittleEndian", (False, True): "ExplicitVRLittleEndian"}
        image.ensure_file_meta()
        image.file_meta.TransferSyntaxUID = getattr(
            pydicom.uid, names.get((bool(is_implicit), bool(is_little)), "ExplicitVRBigEndian")
        )
    return image


def _kind(image: Any) -> str:
    uid = image.get("SOPClassUID")
    return getattr(uid, "name", "") or "no SOP class"


def _show(
    values: np.ndarray, pixel_type: PixelType, center: float, width: float, function: str = "LINEAR"
) -> np.ndarray:
    """Returns values through a window as pixels."""
    from pydicom.dataset import Dataset
    from pydicom.pixels import apply_windowing

    settings = Dataset()
    settings.PhotometricInterpretation, settings.PixelRepresentation, settings.BitsStored = (
        "MONOCHROME2",
        0,
        8,
    )
    settings.WindowCenter, settings.WindowWidth, settings.VOILUTFunction = center, width, function
    return scale_shares(apply_windowing(values, settings) / 255, pixel_type)


def _bit_limits(image: Any, dtype: np.dtype[Any]) -> np.ndarray:
    """Returns the lowest and highest value that the stored bits can have."""
    bits = int(image.BitsStored)
    is_signed = int(image.get("PixelRepresentation") or 0) == 1
    limits = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (0, 2**bits - 1)
    return np.array(limits, dtype)


def _colours(stored: np.ndarray, image: Any, pixel_type: PixelType) -> np.ndarray:
    """Returns the colours of an image, (rows, columns, 3)."""
    if image.PhotometricInterpretation == "PALETTE COLOR":
        from pydicom.pixels import apply_color_lut

        stored = apply_color_lut(stored, image)
        bits = 8 * stored.dtype.itemsize
    else:
        bits = int(image.BitsStored)
    if bits == 8:
        return stored
    return scale_shares(stored.astype(np.float64) / (2**bits - 1), pixel_type)


def _first(values: Any) -> Any:
    return values[0] if hasattr(values, "__len__") and not isinstance(values, str) else values


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
