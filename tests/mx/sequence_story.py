"""The calls of a random sequence, and payloads, labels and images for them."""

from __future__ import annotations

import hashlib
import random
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

MAGIC = b"\x0a\x23\xd7\xce"
JPEGS = Path(__file__).parent.parent / "golden" / "mx" / "images"


@dataclass(frozen=True)
class Name:
    """The result of an earlier call as an argument, or an item of an item of it."""

    name: str
    items: tuple[int, ...] = ()


@dataclass(frozen=True)
class Folder:
    """The path of a file in the folder of the sequence."""

    file: str


@dataclass(frozen=True)
class Call:
    """One call: of a function of the module, of a method of an earlier result, or of a function of Python's.

    Where MXNet has a bug that im2rec.mx has not, *differs* is its number in ``DIFFERENCES`` of
    ``test_mx_sequences.py``, and *ours* the result that im2rec.mx must give.
    """

    function: str
    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    differs: str = ""
    ours: str = ""
    hidden: bool = False  # the result is an encoding that versions of OpenCV may make differently: only its type counts


def digest(data: bytes) -> str:
    """Return the first ten digits of the SHA-256 of *data*."""
    return hashlib.sha256(data).hexdigest()[:10]


def bytes_text(data: bytes) -> str:
    """Return the text that describes *data* as a result."""
    return f"bytes {len(data)} {digest(data)}"


def frame(payload: bytes) -> bytes:
    """Return the record of *payload* as it is in a file: parts that are cut at each aligned magic, and padding."""
    words = [payload[at : at + 4] for at in range(0, len(payload), 4)]
    parts = [b""]
    for word in words:
        if word == MAGIC:
            parts.append(b"")
        else:
            parts[-1] += word
    out = b""
    for number, part in enumerate(parts):
        flag = 0 if len(parts) == 1 else 1 if number == 0 else 3 if number == len(parts) - 1 else 2
        out += MAGIC + struct.pack("<I", flag << 29 | len(part)) + part + bytes(-len(part) % 4)
    return out


def png(image: np.ndarray[Any, Any]) -> bytes:
    """Return *image*, uint8 (height, width, channels), as a PNG whose data are not compressed: any zlib gives these."""
    height, width, channels = image.shape
    rows = b"".join(b"\0" + row.tobytes() for row in image)
    data = b"\x78\x01\x01" + struct.pack("<HH", len(rows), len(rows) ^ 0xFFFF) + rows
    data += struct.pack(">I", zlib.adler32(rows))
    head = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def bmp(image: np.ndarray[Any, Any]) -> bytes:
    """Return *image*, uint8 (height, width, 3), RGB, as a BMP of 24 bits."""
    height, width, _ = image.shape
    rows = b"".join(row[:, ::-1].tobytes() + bytes(-3 * width % 4) for row in image[::-1])
    head = struct.pack("<2sIHHI", b"BM", 54 + len(rows), 0, 0, 54)
    return head + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(rows), 2835, 2835, 0, 0) + rows


class Story:
    """The calls of one sequence so far, and the random choices of the next ones."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.calls: list[Call] = []
        self._names = 0

    def call(
        self,
        function: str,
        *arguments: Any,
        name: str = "",
        differs: str = "",
        ours: str = "",
        hidden: bool = False,
        **keywords: Any,
    ) -> Name:
        """Add a call, and return the name of its result."""
        self.calls.append(Call(function, arguments, keywords, name, differs, ours, hidden))
        return Name(name)

    def new(self, kind: str) -> str:
        """Return a name that is not used yet."""
        self._names += 1
        return f"{kind}{self._names}"

    # Choices; only these methods of Random, which give the same in every version of Python.

    def number(self, low: int, high: int) -> int:
        """Return an integer from *low* up to and including *high*."""
        return self.rng.randrange(low, high + 1)

    def chance(self, percent: int) -> bool:
        return self.rng.randrange(100) < percent

    def one(self, things: Sequence[T]) -> T:
        return things[self.rng.randrange(len(things))]

    def some(self, things: Sequence[T], low: int, high: int) -> list[T]:
        return [self.one(things) for _ in range(self.number(low, high))]

    def mixed(self, things: Sequence[T]) -> list[T]:
        """Return *things* in a random order."""
        left = list(things)
        return [left.pop(self.rng.randrange(len(left))) for _ in things]

    def data(self, size: int) -> bytes:
        return self.rng.getrandbits(8 * size).to_bytes(size, "little") if size else b""

    # Things to write.

    def payload(self) -> bytes:
        """Return a payload: empty, short, large, or with magics at multiples of 4 and elsewhere."""
        kind = self.number(0, 6)
        if kind == 0:
            return b""
        if kind <= 2:
            return self.data(self.number(1, 40))
        if kind == 3:
            return self.data(self.number(3000, 70000))
        pieces = [MAGIC, MAGIC, self.data(4), self.data(8), self.data(self.number(1, 9))]
        return b"".join(self.some(pieces, low=1, high=6))

    def image(self, channels: int = 3, low: int = 6, high: int = 48) -> np.ndarray[Any, Any]:
        """Return uint8 (height, width, channels): noise, or a gradient with some noise."""
        height, width = self.number(low, high), self.number(low, high)
        noise = np.frombuffer(self.data(height * width * channels), np.uint8).reshape(height, width, channels)
        if self.chance(50):
            return noise
        rows, columns, layers = np.ogrid[:height, :width, :channels]
        return (rows * 5 + columns * 3 + layers * 40 + noise % 16).astype(np.uint8)

    def content(self) -> bytes:
        """Return an encoded image: PNG, BMP or JPEG, in grey, colour or with an alpha channel."""
        kind = self.number(0, 5)
        if kind == 0:
            return bmp(self.image())
        if kind == 1:
            return self.one(sorted(JPEGS.glob("*.jpg"))).read_bytes()
        return png(self.image(self.one([1, 3, 3, 3, 4])))
