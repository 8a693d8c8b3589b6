"""The kinds of images that are taken, by their first bytes; names for all other content, and what to do with it.

A kind of image is taken if both OpenCV and Pillow read it, so that every installation packs and reads the same files,
as ``im2rec.py`` does. :func:`sniff` recognises these kinds; whatever it does not recognise is refused by every command,
with the name that is found here. This module imports no image library.
"""

from __future__ import annotations

import re

from im2rec.errors import ImageError

NOT_AN_IMAGE, EMPTY = "not an image", "empty"

_TAKEN = (
    (b"\xff\xd8\xff", 0, "JPEG"),
    (b"\x89PNG\r\n\x1a\n", 0, "PNG"),
    (b"BM", 0, "BMP"),
    (b"GIF8", 0, "GIF"),
    (b"WEBP", 8, "WebP"),
    (b"II*\x00", 0, "TIFF"),
    (b"MM\x00*", 0, "TIFF"),
    (b"II+\x00", 0, "TIFF"),  # BigTIFF
    (b"MM\x00+", 0, "TIFF"),
    (b"\x00\x00\x00\x0cjP  ", 0, "JPEG 2000"),
    (b"\xff\x4f\xff\x51", 0, "JPEG 2000"),
    (b"ftypavif", 4, "AVIF"),
    (b"ftypavis", 4, "AVIF"),
    (b"\x59\xa6\x6a\x95", 0, "Sun raster"),
    *((b"P%d%c" % (digit, blank), 0, "PPM") for digit in range(1, 7) for blank in b"\n \r\t#"),
)
SIGNATURE_BYTES = 12  # the longest of them ends here
NO_EXTENSION = ".bin"  # of a file whose content has none of these signatures
EXTENSIONS = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "BMP": ".bmp",
    "GIF": ".gif",
    "WebP": ".webp",
    "TIFF": ".tiff",
    "JPEG 2000": ".jp2",
    "AVIF": ".avif",
    "PPM": ".ppm",
    "Sun raster": ".ras",
}

TO_JPEG, TO_PNG, TO_8_BIT = "convert it to JPEG first", "convert it to PNG first", "convert it to 8 bits first"
_UNPACK, _EXPORT, _FETCH = "unpack it first", "export its images first", "fetch the image again"
_PAGE = "read why the download failed, and fetch it again"
RAW = "a camera's raw image", "develop it to JPEG first"
_VIDEO = "a video", "extract its frames first"
_TEXT_BYTES = 1024  # looked at to tell what kind of text it is

_HEIC_BRANDS = ("heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1")
# (offset, signature): what it is, and what to do.
_REFUSED: dict[tuple[int, bytes], tuple[str, str]] = {
    **{(4, b"ftyp" + brand.encode()): ("a HEIC image", TO_JPEG) for brand in _HEIC_BRANDS},
    (4, b"ftypcrx "): RAW,
    (4, b"ftyp"): _VIDEO,
    (4, b"moov"): _VIDEO,
    (4, b"mdat"): _VIDEO,
    (8, b"AVI "): _VIDEO,
    (0, b"\x1a\x45\xdf\xa3"): _VIDEO,
    (0, b"\x00\x00\x01\xba"): _VIDEO,
    (0, b"\xff\x0a"): ("a JPEG XL image", TO_JPEG),
    (0, b"\x00\x00\x00\x0cJXL "): ("a JPEG XL image", TO_JPEG),
    (0, b"%PDF"): ("a PDF document", _EXPORT),
    (0, b"%!PS"): ("a PostScript document", _EXPORT),
    (0, b"\xc5\xd0\xd3\xc6"): ("a PostScript document", _EXPORT),
    (0, b"8BPS"): ("a Photoshop (PSD) image", TO_PNG),
    (0, b"\x00\x00\x01\x00"): ("an ICO image", TO_PNG),
    (0, b"\x00\x00\x02\x00"): ("a CUR image", TO_PNG),
    (0, b"icns"): ("an ICNS image", TO_PNG),
    (0, b"DDS "): ("a DDS image", TO_PNG),
    (0, b"\x01\xda"): ("an SGI image", TO_PNG),
    (0, b"qoif"): ("a QOI image", TO_PNG),
    (0, b"\x0a\x05\x01"): ("a PCX image", TO_PNG),
    (0, b"\x0a\x03\x01"): ("a PCX image", TO_PNG),
    (0, b"P7"): ("a PAM image", TO_PNG),
    (0, b"Pf"): ("a PFM image of floating-point numbers", TO_8_BIT),
    (0, b"PF"): ("a PFM image of floating-point numbers", TO_8_BIT),
    (0, b"#?R"): ("a Radiance HDR image of floating-point numbers", TO_8_BIT),
    (0, b"\x76\x2f\x31\x01"): ("an OpenEXR image of floating-point numbers", TO_8_BIT),
    (0, b"SIMPLE  ="): ("a FITS image", TO_8_BIT),
    (128, b"DICM"): ("a DICOM image", TO_PNG),
    (0, b"#define"): ("an XBM image", TO_PNG),
    (0, b"/* XPM */"): ("an XPM image", TO_PNG),
    (0, b"BLP"): ("a BLP image", TO_PNG),
    (0, b"BPG\xfb"): ("a BPG image", TO_JPEG),
    (0, b"\x8bJNG"): ("a JNG image", TO_JPEG),
    (0, b"\x8aMNG"): ("an MNG animation", TO_PNG),
    (0, b"\xd7\xcd\xc6\x9a"): ("a WMF image", TO_PNG),
    (40, b" EMF"): ("an EMF image", TO_PNG),
    (0, b"AT&TFORM"): ("a DjVu document", _EXPORT),
    (0, b"IIRO"): RAW,
    (0, b"IIRS"): RAW,
    (0, b"MMOR"): RAW,
    (0, b"IIU\x00"): RAW,
    (0, b"FUJIFILMCCD-RAW"): RAW,
    (0, b"FOVb"): RAW,
    (0, b"\x00MRM"): RAW,
    (0, b"\x93NUMPY"): ("a NumPy array", TO_PNG),
    (0, b"\x89HDF"): ("an HDF5 file", _EXPORT),
    (0, b"\x0a\x23\xd7\xce"): ("a RecordIO file", "'im2rec extract' writes its images"),
}
# Files that are given as images and as a .rec: pattern of the first bytes, what they are, and what to do.
OTHER_FILES: tuple[tuple[bytes, str, str], ...] = (
    (rb"version https://git-lfs", "a git-LFS pointer", "run 'git lfs pull'"),
    (rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype html|html|head|body)", "an HTML page", _PAGE),
    (rb"(\xef\xbb\xbf)?\s*<(\?xml|Error)", "an XML document", _PAGE),
    (rb"\x1f\x8b", "a gzip file", f"{_UNPACK}, with 'gunzip < OLD > NEW' or tar"),
    (rb"BZh[1-9]", "a bzip2 file", f"{_UNPACK}, with 'bunzip2 < OLD > NEW' or tar"),
    (rb"\xfd7zXZ\0", "an xz file", f"{_UNPACK}, with 'unxz < OLD > NEW' or tar"),
    (rb"\x28\xb5\x2f\xfd", "a Zstandard file", f"{_UNPACK}, with 'unzstd < OLD > NEW' or tar"),
    (rb"\x04\x22\x4d\x18", "an LZ4 file", f"{_UNPACK}, with 'unlz4 < OLD > NEW'"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", f"{_UNPACK}, with 7z"),
    (rb"Rar!\x1a\x07", "a RAR archive", f"{_UNPACK}, with unrar"),
    (rb"PK(\x03\x04|\x05\x06|\x07\x08)", "a zip archive", f"{_UNPACK}, with unzip"),
    (rb"(?s).{257}ustar", "a tar archive", f"{_UNPACK}, with tar"),
)
_TGA_FOOTER = b"TRUEVISION-XFILE.\x00"
# Beginnings of text, in lower case.
_TEXTS: dict[bytes, tuple[str, str]] = {
    b"<svg": ("an SVG image", TO_PNG),
    b"<!doctype svg": ("an SVG image", TO_PNG),
    b"{": ("a JSON file", _FETCH),
    b"[": ("a JSON file", _FETCH),
}


def sniff(content: bytes) -> str:
    """Return the format whose signature *content* has (``JPEG``, ``PNG``, ...), else ``NOT_AN_IMAGE`` or ``EMPTY``."""
    if not content:
        return EMPTY
    for signature, offset, kind in _TAKEN:
        if content.startswith(signature, offset):
            return kind
    return NOT_AN_IMAGE


def refusal(content: bytes) -> tuple[str, str]:
    """Return what *content*, which is not an image that is taken, is, and what to do; both empty if unknown.

    For a HEIC image these are "a HEIC image" and "convert it to JPEG first".
    """
    if content.endswith(_TGA_FOOTER) or _is_tga(content):
        return "a TGA image", TO_PNG
    for (offset, signature), named in _REFUSED.items():
        if content.startswith(signature, offset):
            return named
    if content and not content.strip(b"\x00"):
        return "a file of zero bytes", _FETCH
    others = ((name, remedy) for pattern, name, remedy in OTHER_FILES if re.match(pattern, content))
    return _text(content[:_TEXT_BYTES]) or next(others, ("", ""))


def not_an_image(content: bytes, reason: str) -> ImageError:
    """Return the error for *content* that is not taken; its reason is "HEIC image" and the like, else *reason*."""
    if not content:
        return ImageError("is empty: fetch it again", reason=reason)
    name, remedy = refusal(content)
    if not name:
        return ImageError("holds no image that can be read", reason=reason)
    if " image" in name:
        return ImageError(f"is {name}: {remedy}", reason=name.split(" ", 1)[1])
    return ImageError(f"holds no image but {name}: {remedy}", reason=reason)


def _is_tga(content: bytes) -> bool:
    """True for the header of a TGA without a palette; files of its first version have no signature."""
    has_kind = content[1:3] in (b"\x00\x02", b"\x00\x03", b"\x00\x0a", b"\x00\x0b") and not any(content[3:8])
    has_size = any(content[12:14]) and any(content[14:16])
    return has_kind and has_size and content[16:17] in (b"\x08", b"\x10", b"\x18", b"\x20")


def _text(start: bytes) -> tuple[str, str] | None:
    """Return the kind of text that *start* is, an SVG image or JSON, and what to do; None for other bytes."""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<?xml", b"<!--")) and b"<svg" in text:
        return _TEXTS[b"<svg"]
    return next((named for beginning, named in _TEXTS.items() if text.startswith(beginning)), None)
