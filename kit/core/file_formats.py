"""Detects the format of a file by its first bytes, and suggests a conversion if kit does not read it."""

from __future__ import annotations

from kit.errors import DataError

_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"P4": "PPM",
    b"P5": "PPM",
    b"P6": "PPM",
}
_PLAIN_PPM = (b"P1", b"P2", b"P3")  # text, so a space must follow

_PILLOW = "Pillow reads it: Image.open(file).convert('RGB').save('x.png')"
_HEIF = "pip install pillow-heif, then register_heif_opener() and Image.open(file).save('x.png')"
_RAW = "convert it to JPEG or PNG, for example with rawpy"
_FRAMES = "save its frames as JPEG or PNG, for example with ffmpeg -i"
_ARRAY = "scale its values to 8 bits, and save each image as PNG"
_UNPACK = "unpack it first"
# offset of the magic bytes, the magic bytes, the format, and the fix
_FOREIGN = (
    (128, b"DICM", "DICOM", "pydicom.dcmread(file).pixel_array, brought to 8 bits and saved as PNG"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000", _PILLOW),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000", _PILLOW),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL", "djxl file x.png"),
    (0, b"\xff\x0a", "JPEG XL", "djxl file x.png"),
    (0, b"II+\0", "BigTIFF", _PILLOW),
    (0, b"MM\0+", "BigTIFF", _PILLOW),
    (0, b"II\xbc\x01", "JPEG XR", "convert it to PNG"),
    (0, b"IIRO", "raw camera file", _RAW),
    (0, b"IIRS", "raw camera file", _RAW),
    (0, b"MMOR", "raw camera file", _RAW),
    (0, b"IIU\0", "raw camera file", _RAW),
    (0, b"FUJIFILMCCD-RAW", "raw camera file", _RAW),
    (0, b"\x93NUMPY", ".npy array", f"numpy.load(file): {_ARRAY}"),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5", f"h5py.File(file): {_ARRAY}"),
    (0, b"CDF\x01", "NetCDF", _ARRAY),
    (0, b"CDF\x02", "NetCDF", _ARRAY),
    (0, b"PAR1", "parquet", "pandas.read_parquet(file), and save each row's image as PNG"),
    (0, b"ARROW1", "Arrow", "read it with pyarrow, and save each row's image as PNG"),
    (0, b"\x80\x04", "pickle", "a pickle can run code: load it only if you trust its author"),
    (0, b"\x80\x05", "pickle", "a pickle can run code: load it only if you trust its author"),
    (0, b"MATLAB ", "MATLAB file", f"scipy.io.loadmat(file): {_ARRAY}"),
    (0, b"8BPS", "PSD", _PILLOW),
    (0, b"DDS ", "DDS", _PILLOW),
    (0, b"\x76\x2f\x31\x01", "OpenEXR", f"it holds floats: {_ARRAY}"),
    (0, b"#?RADIANCE", "Radiance HDR", f"it holds floats: {_ARRAY}"),
    (0, b"#?RGBE", "Radiance HDR", f"it holds floats: {_ARRAY}"),
    (0, b"PF\n", "PFM", f"it holds floats: {_ARRAY}"),
    (0, b"Pf\n", "PFM", f"it holds floats: {_ARRAY}"),
    (0, b"SIMPLE  =", "FITS", f"astropy.io.fits.open(file): {_ARRAY}"),
    (344, b"n+1\0", "NIfTI", f"nibabel.load(file): {_ARRAY}"),
    (344, b"ni1\0", "NIfTI", f"nibabel.load(file): {_ARRAY}"),
    (0, b"NRRD0", "NRRD", _ARRAY),
    (0, b"\0\0\1\0", "icon (ICO)", _PILLOW),
    (0, b"\0\0\2\0", "cursor (CUR)", _PILLOW),
    (0, b"icns", "icon (ICNS)", _PILLOW),
    (0, b"\x0a\x05\x01", "PCX", _PILLOW),
    (0, b"\x0a\x03\x01", "PCX", _PILLOW),
    (0, b"\x01\xda", "SGI image", _PILLOW),
    (0, b"\x59\xa6\x6a\x95", "Sun raster", _PILLOW),
    (0, b"qoif", "QOI", _PILLOW),
    (0, b"gimp xcf", "XCF of GIMP", "export it to PNG in GIMP"),
    (0, b"AT&TFORM", "DjVu", "ddjvu -format=tiff file x.tiff"),
    (0, b"%!PS", "PostScript", "convert it to PNG"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript", "convert it to PNG"),
    (0, b"\xd7\xcd\xc6\x9a", "WMF", "convert it to PNG"),
    (0, b"OggS", "audio (Ogg)", "kit trains on images: save spectrograms as PNG"),
    (0, b"fLaC", "audio (FLAC)", "kit trains on images: save spectrograms as PNG"),
    (0, b"ID3", "audio (MP3)", "kit trains on images: save spectrograms as PNG"),
    (0, b"\x1a\x45\xdf\xa3", "video (Matroska or WebM)", _FRAMES),
    (0, b"\0\0\1\xba", "video (MPEG)", _FRAMES),
    (0, b"\0\0\1\xb3", "video (MPEG)", _FRAMES),
    (0, b"FLV\1", "video (Flash)", _FRAMES),
    (0, b"PK\3\4", "zip archive", _UNPACK),
    (0, b"\x1f\x8b", "gzip file", _UNPACK),
    (0, b"BZh", "bzip2 file", _UNPACK),
    (0, b"\xfd7zXZ\0", "xz file", _UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "Zstandard file", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "7-Zip archive", _UNPACK),
    (0, b"Rar!\x1a\x07", "RAR archive", _UNPACK),
    (257, b"ustar", "tar archive", _UNPACK),
)
# Kinds of RIFF, and brands of ISO media files (bytes 8 to 11).
_RIFF = {
    b"AVI ": ("video (AVI)", _FRAMES),
    b"WAVE": ("audio (WAV)", "kit trains on images: save spectrograms as PNG"),
}
_AVIF = (b"avif", b"avis")
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1")
_OTHER_BRANDS = {
    b"crx ": ("raw camera file", _RAW),
    b"M4A ": ("audio (MPEG-4)", "save its spectrograms as PNG"),
}
_TGA_FOOTER = b"TRUEVISION-XFILE.\0"
_TEXTS = {
    b"<!doctype html": ("D06", "not an image: looks like HTML (failed download?)"),
    b"<html": ("D06", "not an image: looks like HTML (failed download?)"),
    b"version https://git-lfs": ("D07", "git-lfs pointer; run git lfs pull"),
    b"<svg": ("D13", "unsupported format: SVG (convert it to PNG)"),
    b"%pdf": ("D13", "unsupported format: PDF (convert its pages to PNG)"),
}


def sniff(content: bytes) -> str:
    """Returns the format, as Pillow names it. Raises DataError D06, D07 or D13 if kit does not read it as an image."""
    for magic, name in _MAGIC.items():
        if content.startswith(magic):
            return name
    if content.startswith(_PLAIN_PPM) and content[2:3].isspace():
        return "PPM"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    if content[4:8] == b"ftyp" and _is_avif(content):
        return "AVIF"
    if foreign := _foreign(content):
        name, way = foreign
        raise DataError(f"unsupported format: {name} ({way})", code="D13", hint=way)
    text = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for start, (code, message) in _TEXTS.items():
        if text.startswith(start) or (text.startswith(b"<?xml") and start in text):
            raise DataError(message, code=code)
    if not content.strip(b"\0"):
        raise DataError("not an image: all its bytes are zero (an interrupted copy?)", code="D06")
    raise DataError(f"not an image: begins with {content[:12]!r}", code="D06")


def _is_avif(content: bytes) -> bool:
    """Checks the main brand, else the compatible ones: some writers put `mif1` first."""
    if content[8:12] in _AVIF:
        return True
    end = min(int.from_bytes(content[:4], "big"), 256)
    compatible = [content[at : at + 4] for at in range(16, end, 4)]
    return content[8:12] in (b"mif1", b"miaf", b"msf1") and any(brand in _AVIF for brand in compatible)


def _foreign(content: bytes) -> tuple[str, str] | None:
    """Returns the name of a format that kit does not read, and a fix."""
    if _looks_like_tga(content):
        return "TGA", _PILLOW
    for at, magic, name, way in _FOREIGN:
        if content[at : at + len(magic)] == magic:
            return name, way
    brand = content[8:12]
    if content[:4] == b"RIFF":
        return _RIFF.get(brand)
    if content[4:8] == b"ftyp":
        if brand in _HEIC:
            return "HEIC", _HEIF
        return _OTHER_BRANDS.get(brand, ("video (MP4 or MOV)", _FRAMES))
    if content[4:8] in (b"moov", b"mdat", b"wide", b"free") and b"moov" in content:
        return "video (MP4 or MOV)", _FRAMES
    return None


def _looks_like_tga(content: bytes) -> bool:
    """Checks the footer, or a header whose every field is possible: TGA has no magic bytes at its start."""
    if content.endswith(_TGA_FOOTER):
        return True
    if len(content) < 18:
        return False
    has_map, kind, map_bits = content[1], content[2], content[7]
    width, height = (int.from_bytes(content[at : at + 2], "little") for at in (12, 14))
    bits, flags = content[16], content[17]
    return (
        kind in (1, 2, 3, 9, 10, 11)
        and (has_map, map_bits in (15, 16, 24, 32)) in ((0, False), (1, True))
        and (has_map == 1) == (kind in (1, 9))
        and bits in ((8, 16) if kind in (3, 11, 1, 9) else (16, 24, 32))
        and width > 0
        and height > 0
        and flags & 0xC0 == 0
        and (kind >= 9 or len(content) >= 18 + width * height * bits // 8)
    )
