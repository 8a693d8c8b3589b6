"""IDX files, in which MNIST is published: a header of 32-bit numbers, then one byte per pixel or label.

::

    images  =  u32 2051 | u32 count | u32 rows | u32 columns | count x rows x columns bytes
    labels  =  u32 2049 | u32 count | count bytes

Everything is big-endian. The files are often distributed compressed with gzip.

Source: http://yann.lecun.com/exdb/mnist/; mxnet src/io/iter_mnist.cc, ``LoadImage`` and ``LoadLabel``.
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib

import numpy as np
import numpy.typing as npt

from im2rec.errors import IdxFormatError

Bytes = npt.NDArray[np.uint8]

IMAGES, LABELS = 2051, 2049
MAX_EDGE = 65535  # rows and columns: the largest crop of the iterators
MAX_INFLATED_BYTES = 1 << 30  # EMNIST, the largest published set, takes half of it
_KINDS = {IMAGES: ("images", 3), LABELS: ("labels", 1)}  # name and number of dimensions by magic
_MAX_HEADER_BYTES = 16
_GZIP = b"\x1f\x8b"
_READ_BYTES = 1 << 20
_MAX_DEFLATE_RATIO = 1032  # no deflate stream inflates to more than 1032 times its own bytes
_MAKE_AGAIN = "make or fetch the file again"


def read_images(data: bytes) -> Bytes:
    """Return the images in *data*, the bytes of a whole file: uint8 (count, rows, columns), 0 is background.

    *data* may be compressed with gzip. The array is a read-only view of *data*, or of the decompressed bytes. Raises
    IdxFormatError, before any memory is allocated, for another magic, for rows or columns of 0 or above ``MAX_EDGE``,
    and for more or fewer bytes than the header announces; also for damaged gzip data.

    Source: mxnet src/io/iter_mnist.cc, ``LoadImage``.
    """
    return _read_array(decompress(data), IMAGES)


def read_labels(data: bytes) -> Bytes:
    """Return the labels in *data*, the bytes of a whole file: uint8 (count,).

    *data* may be compressed with gzip. The array is a read-only view of *data*, or of the decompressed bytes. Raises
    IdxFormatError for another magic, for more or fewer bytes than the header announces, and for damaged gzip data.

    Source: mxnet src/io/iter_mnist.cc, ``LoadLabel``.
    """
    return _read_array(decompress(data), LABELS)


def decompress(data: bytes) -> bytes:
    """Return the IDX file in *data*: decompressed if *data* is a gzip file, else *data* itself.

    The header is inflated first, and then no more bytes than it announces, so that a small file cannot fill the memory.
    Raises IdxFormatError for a damaged gzip file, for content that is not an IDX file or longer than its header
    announces, and for a header that announces more than ``MAX_INFLATED_BYTES``, or more than *data* could inflate to.
    """
    if not data.startswith(_GZIP):
        return data
    expected = _total_bytes(_inflate(data, _MAX_HEADER_BYTES))
    if expected > min(MAX_INFLATED_BYTES, _MAX_DEFLATE_RATIO * len(data)):
        problem = f"expected {expected} bytes as its header says, too many for {len(data)} bytes of gzip"
        raise IdxFormatError(problem, hint=f"{_MAKE_AGAIN}, or unpack it with gunzip")
    content = _inflate(data, expected + 1)
    if len(content) > expected:
        raise IdxFormatError(f"expected {expected} bytes in the gzip file, found more", hint=_MAKE_AGAIN)
    return content


def _inflate(data: bytes, limit: int) -> bytes:
    """Return the first *limit* bytes of the content of gzip file *data*; all of it, its CRC checked, if it is shorter.

    Raises IdxFormatError for damage before that point.
    """
    chunks: list[bytes] = []
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            # read(n) allocates n bytes at once, and *limit* is the claim of a header that may be damaged.
            while chunk := file.read(min(limit, _READ_BYTES)):
                chunks.append(chunk)
                limit -= len(chunk)
    except EOFError:
        raise IdxFormatError("the gzip file is cut short", hint=_MAKE_AGAIN) from None
    except (OSError, zlib.error) as error:
        raise IdxFormatError(f"the gzip file is damaged: {error}", hint=_MAKE_AGAIN) from None
    return b"".join(chunks)


def _read_array(data: bytes, magic: int) -> Bytes:
    shape = _parse_shape(data, magic)
    start = _header_bytes(magic)
    expected = math.prod(shape)
    if len(data) - start != expected:
        what = f"{' x '.join(map(str, shape))} bytes of {_KINDS[magic][0]}"
        raise IdxFormatError(f"expected {what} after the header, found {len(data) - start}", hint=_MAKE_AGAIN)
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _total_bytes(header: bytes) -> int:
    """Return the bytes of the whole IDX file that starts with *header*."""
    magic = int.from_bytes(header[:4], "big")
    if magic not in _KINDS:
        raise IdxFormatError(f"expected the magic {IMAGES} or {LABELS} in the gzip file, found {magic}")
    return _header_bytes(magic) + math.prod(_parse_shape(header, magic))


def _header_bytes(magic: int) -> int:
    return 4 + 4 * _KINDS[magic][1]


def _parse_shape(data: bytes, magic: int) -> tuple[int, ...]:
    """Return the shape in the header of *data*, which must start with *magic*."""
    what, ndim = _KINDS[magic]
    if len(data) < _header_bytes(magic):
        raise IdxFormatError(f"expected {_header_bytes(magic)} bytes of header, found {len(data)}", hint=_MAKE_AGAIN)
    stored, *shape = struct.unpack_from(f">{1 + ndim}I", data)
    if stored != magic:
        found = f"the magic of {_KINDS[stored][0]}" if stored in _KINDS else f"{data[:4].hex(' ')}"
        hint = "the files of images and labels are swapped" if stored in _KINDS else "name an IDX file of MNIST"
        raise IdxFormatError(f"expected the magic {magic} of {what}, found {found}", hint=hint)
    if not all(0 < edge <= MAX_EDGE for edge in shape[1:]):
        edges = " x ".join(map(str, shape[1:]))
        raise IdxFormatError(f"expected rows and columns of 1 to {MAX_EDGE}, found {edges}", hint=_MAKE_AGAIN)
    return tuple(shape)
