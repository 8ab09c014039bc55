"""A format that kit does not read is named, with the way out; none of them is taken for a failed download."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from kit.core.file_formats import sniff
from kit.images.reader import decode
from tests.drawn_images import DATA, codes, drawn, encoded, refused


def by_pillow(form: str) -> bytes:
    return encoded(drawn(24, 32), form)


def array() -> bytes:
    content = BytesIO()
    np.save(content, drawn(4, 4))
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "name", "way"),
    [
        (bytes(128) + b"DICM" + bytes(50), "DICOM", "pydicom.dcmread"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50), "JPEG 2000", "Pillow reads it"),
        (by_pillow("JPEG2000"), "JPEG 2000", "Pillow reads it"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50), "JPEG XL", "djxl"),
        (b"\xff\x0a" + bytes(50), "JPEG XL", "djxl"),
        (b"II+\0\x08\0\0\0" + bytes(50), "BigTIFF", "Pillow reads it"),
        (b"MM\0+\0\x08\0\0" + bytes(50), "BigTIFF", "Pillow reads it"),
        (array(), ".npy array", "numpy.load"),
        (by_pillow("TGA"), "TGA", "Pillow reads it"),
        (encoded(Image.fromarray(drawn(24, 32)), "TGA", compression="tga_rle"), "TGA", "Pillow reads it"),
        (encoded(Image.fromarray(drawn(24, 32)[:, :, 0]), "TGA"), "TGA", "Pillow reads it"),
        (encoded(Image.fromarray(drawn(24, 32)).convert("P"), "TGA"), "TGA", "Pillow reads it"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "HDF5", "h5py"),
        (b"PAR1" + bytes(50), "parquet", "pandas.read_parquet"),
        (b"8BPS\0\x01" + bytes(50), "PSD", "Pillow reads it"),
        (by_pillow("DDS"), "DDS", "Pillow reads it"),
        (b"\x76\x2f\x31\x01" + bytes(50), "OpenEXR", "8 bits"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isommp41", "video", "ffmpeg"),
        (b"\0\0\0\x18ftypqt  \0\0\2\0qt  ", "video", "ffmpeg"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC", "pillow-heif"),
        (b"\0\0\0\x18ftypcrx \0\0\0\0crx isom", "raw camera file", "rawpy"),
        (b"RIFF\0\0\1\0AVI LIST", "video", "ffmpeg"),
        (b"RIFF\0\0\1\0WAVEfmt ", "audio", "spectrograms"),
        (b"SIMPLE  =                    T", "FITS", "astropy"),
        (bytes(344) + b"n+1\0", "NIfTI", "nibabel"),
        (b"PK\x03\x04" + bytes(50), "zip", "unpack"),
        (b"\x1f\x8b\x08" + bytes(50), "gzip", "unpack"),
        (by_pillow("ICO"), "icon", "Pillow reads it"),
        (by_pillow("PCX"), "PCX", "Pillow reads it"),
    ],
)
def test_a_format_that_kit_does_not_read_is_named_with_the_way_out(
    content: bytes, name: str, way: str
) -> None:
    error = refused(content)
    assert error.code == "D13"
    assert error.summary.startswith(f"unsupported format: {name}")
    assert way in error.summary


def test_text_and_noise_are_still_no_image() -> None:
    for content in (
        b"id,label\na,b\n",
        b"Not Found",
        b'{"error": "denied"}',
        bytes(range(1, 200)),
        b"\x01\x02",
    ):
        assert refused(content).code == "D06"


def test_an_avif_may_name_another_brand_first() -> None:
    content = encoded(drawn(), "AVIF", speed=9)
    size = int.from_bytes(content[:4], "big")
    assert b"mif1" in content[16:size]
    other = content[:8] + b"mif1" + content[12:]
    assert sniff(other) == "AVIF"
    assert np.array_equal(decode(other, DATA).pixels, decode(content, DATA).pixels)


@pytest.mark.parametrize("kind", ["P1", "P2", "P3"])
def test_a_plain_text_pnm_is_read(kind: str) -> None:
    text = {"P1": "2 1\n1 0\n", "P2": "2 1\n255\n0 255\n", "P3": "2 1\n255\n0 0 0 255 255 255\n"}[kind]
    pixels = decode(f"{kind}\n{text}".encode(), DATA).pixels
    assert pixels[0, :, 0].tolist() == [0, 255]


def test_a_packed_bitmap_is_read() -> None:
    assert codes(b"P4\n16 16\n" + bytes(32)) == []


def test_a_raw_camera_file_is_not_taken_for_its_preview() -> None:
    """DNG, NEF and ARW are TIFFs whose first page is a small preview."""
    dng = Image.fromarray(drawn(24, 32))
    tags = {50706: b"\1\4\0\0"}
    other = encoded(dng, "TIFF", compression="tiff_lzw")  # its tags stand at the end
    for content in (encoded(dng, "TIFF", tiffinfo=tags), other[:8] + b"CR" + other[10:]):
        error = refused(content)
        assert error.code == "D13"
        assert "raw camera file" in error.summary
