"""Files of image kinds that Pillow does not write, made byte by byte: TIFF, BMP and PNM in their variants."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from image_helpers import texture

HEIGHT, WIDTH = 17, 23
_SHORT, _LONG = 3, 4  # types of values in a TIFF
_LETTERS = {_SHORT: "H", _LONG: "I"}
_FORMATS = {"u": 1, "i": 2, "f": 3, "c": 6}


def deep_pixels(channels: int = 3) -> np.ndarray[Any, Any]:
    """uint16 (HEIGHT, WIDTH, channels), whose high and low bytes are two textures."""
    high, low = (texture(HEIGHT, WIDTH, channels, seed=seed) for seed in (1, 2))
    return high.astype(np.uint16) << 8 | low


def tiff_file(
    pixels: np.ndarray[Any, Any],
    photometric: int = 2,
    *,
    order: str = "<",
    planes: bool = False,
    extra: Sequence[int] = (),
    tags: dict[int, list[int]] | None = None,
    bits: int = 0,
    big: bool = False,
) -> bytes:
    """An uncompressed TIFF of *pixels*, (height, width, samples), or of packed rows if *bits* is given.

    *photometric* is 0 or 1 for grey, 2 RGB, 5 CMYK, 6 YCbCr, 8 CIELab. *planes* stores each sample in a strip of its
    own, *big* makes it a BigTIFF.
    """
    height, width, samples = pixels.shape
    stored = pixels.astype(pixels.dtype.newbyteorder(order))
    strips = [stored[:, :, k].tobytes() for k in range(samples)] if planes else [stored.tobytes()]
    values: dict[int, tuple[int, list[int]]] = {
        256: (_LONG, [width * 8 // bits if bits else width]),
        257: (_LONG, [height]),
        258: (_SHORT, [bits or 8 * pixels.itemsize] * samples),
        259: (_SHORT, [1]),
        262: (_SHORT, [photometric]),
        273: (_LONG, [0] * len(strips)),
        277: (_SHORT, [samples]),
        278: (_LONG, [height]),
        279: (_LONG, [len(strip) for strip in strips]),
        284: (_SHORT, [2 if planes else 1]),
        339: (_SHORT, [_FORMATS[pixels.dtype.kind]] * samples),
        **({338: (_SHORT, list(extra))} if extra else {}),
        **{tag: (_SHORT, numbers) for tag, numbers in (tags or {}).items()},
    }
    return _laid_out(values, strips, order, big=big)


def _laid_out(values: dict[int, tuple[int, list[int]]], strips: list[bytes], order: str, *, big: bool) -> bytes:
    offset, inline, head = ("Q", 8, 16) if big else ("I", 4, 8)
    start = head + (8 if big else 2) + len(values) * (20 if big else 12) + inline
    sizes = {
        tag: struct.calcsize(f"<{len(numbers)}{_LETTERS[type_]}") for tag, (type_, numbers) in sorted(values.items())
    }
    places, at = {}, start
    for tag, size in sizes.items():
        if size > inline:
            places[tag], at = at, at + size + size % 2
    starts = [at + sum(map(len, strips[:k])) for k in range(len(strips))]
    values[273] = (values[273][0], starts)
    entries, outside = b"", b""
    for tag, (type_, numbers) in sorted(values.items()):
        data = struct.pack(f"{order}{len(numbers)}{_LETTERS[type_]}", *numbers)
        if tag in places:
            outside += data + bytes(len(data) % 2)
            data = struct.pack(order + offset, places[tag])
        entries += struct.pack(f"{order}HH{offset}", tag, type_, len(numbers)) + data.ljust(inline, b"\0")
    mark = b"II" if order == "<" else b"MM"
    header = mark + (struct.pack(order + "HHHQ", 43, 8, 0, 16) if big else struct.pack(order + "HI", 42, 8))
    count = struct.pack(order + ("Q" if big else "H"), len(values))
    return header + count + entries + bytes(inline) + outside + b"".join(strips)


def bmp_file(bits: int, masks: Sequence[int] = (), *, info: int = 40, top_down: bool = False, seed: int = 0) -> bytes:
    """A BMP of random rows with *bits* per pixel, as bit fields if *masks* are given."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 256, (HEIGHT, (WIDTH * bits + 31) // 32 * 4)).astype(np.uint8).tobytes()
    colors = 1 << bits if bits <= 8 else 0
    palette = rng.integers(0, 256, (colors, 4)).astype(np.uint8).tobytes()
    fields = (info, WIDTH, -HEIGHT if top_down else HEIGHT, 1, bits, 3 if masks else 0, len(rows), 0, 0, colors, 0)
    header = struct.pack("<IiiHHIIiiII", *fields) + struct.pack(f"<{len(masks)}I", *masks)
    header = header.ljust(info, b"\0")
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + header + palette + rows


def pnm_file(number: int, pixels: np.ndarray[Any, Any], largest: int | None = None) -> bytes:
    """A PBM, PGM or PPM: P1 to P6 by *number*; 16-bit samples are big-endian. *largest* is what means white."""
    height, width, _ = pixels.shape
    top = "" if number in (1, 4) else f"{largest or np.iinfo(pixels.dtype).max}\n"
    if number <= 3:
        data = " ".join(map(str, pixels.ravel().tolist())).encode() + b"\n"
    elif number == 4:
        data = np.packbits(pixels[:, :, 0] > 0, axis=1).tobytes()
    else:
        data = pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()
    return f"P{number}\n{width} {height}\n{top}".encode() + data
