"""The IDX files of MNIST: a header of numbers, then one byte a pixel or label.

::

    images  =  u32 2051 | u32 count | u32 rows | u32 columns | count x rows x columns bytes
    labels  =  u32 2049 | u32 count | count bytes

Everything is big-endian. The files are handed round compressed by gzip as well.

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
MAX_EDGE = 65535  # rows and columns: what the iterators can crop
MAX_INFLATED_BYTES = 1 << 30  # the largest set of this kind, EMNIST, has half of it
_KINDS = {IMAGES: ("images", 3), LABELS: ("labels", 1)}  # and the number of dimensions
_LONGEST_HEADER = 16
_GZIP = b"\x1f\x8b"
_READ_BYTES = 1 << 20
_MOST_RATIO = 1032  # of what deflate can pack to what it packs it into
_MAKE_AGAIN = "make or fetch the file again"


def read_images(data: bytes) -> Bytes:
    """Images in *data*, the content of a whole file, gzipped or not: uint8 (count, rows, columns), 0 is background.

    The array is a read-only view of the bytes, unzipped where they have to be. Raises IdxFormatError for another
    magic, edges that are 0 or above ``MAX_EDGE``, any number of bytes but that which the header says, and damaged gzip
    data; nothing is allocated before.

    Source: mxnet src/io/iter_mnist.cc, ``LoadImage``.
    """
    return _read(decompressed(data), IMAGES)


def read_labels(data: bytes) -> Bytes:
    """Labels in *data*, the content of a whole file, gzipped or not: uint8 (count,).

    The array is a read-only view of the bytes, unzipped where they have to be. Raises IdxFormatError for another
    magic, any number of bytes but that which the header says, and damaged gzip data.

    Source: mxnet src/io/iter_mnist.cc, ``LoadLabel``.
    """
    return _read(decompressed(data), LABELS)


def decompressed(data: bytes) -> bytes:
    """*data* itself, or what is in it when it is a gzip file of an IDX file.

    The header is inflated first, and then no more than it says, so that a small file cannot fill the memory. Raises
    IdxFormatError for a damaged gzip file, for what is in one and is no IDX file, for one that holds more than its
    header says, and for one that says more than ``MAX_INFLATED_BYTES``.
    """
    if not data.startswith(_GZIP):
        return data
    expected = _total_bytes(_inflated(data, _LONGEST_HEADER))
    if expected > min(MAX_INFLATED_BYTES, _MOST_RATIO * len(data)):
        problem = f"expected {expected} bytes as its header says, which {len(data)} bytes of gzip are not trusted with"
        raise IdxFormatError(problem, hint=f"{_MAKE_AGAIN}, or unpack it with gunzip")
    content = _inflated(data, expected + 1)
    if len(content) > expected:
        raise IdxFormatError(f"expected {expected} bytes in the gzip file, found more", hint=_MAKE_AGAIN)
    return content


def _inflated(data: bytes, most: int) -> bytes:
    """The first *most* bytes of what the gzip file *data* holds; fewer only where it ends, its check sum looked at."""
    parts: list[bytes] = []
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            # A read makes room for all that it is asked for, so it is never asked for what a header merely claims.
            while most > 0 and (part := file.read(min(most, _READ_BYTES))):
                parts.append(part)
                most -= len(part)
    except EOFError:
        raise IdxFormatError("the gzip file is cut short", hint=_MAKE_AGAIN) from None
    except (OSError, zlib.error) as error:
        raise IdxFormatError(f"the gzip file is damaged: {error}", hint=_MAKE_AGAIN) from None
    return b"".join(parts)


def _read(data: bytes, magic: int) -> Bytes:
    shape = _shape(data, magic)
    start = _header_bytes(magic)
    expected = math.prod(shape)
    if len(data) - start != expected:
        what = f"{' x '.join(map(str, shape))} bytes of {_KINDS[magic][0]}"
        raise IdxFormatError(f"expected {what} behind the header, found {len(data) - start}", hint=_MAKE_AGAIN)
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _total_bytes(header: bytes) -> int:
    magic = int.from_bytes(header[:4], "big")
    if magic not in _KINDS:
        raise IdxFormatError(f"expected the magic {IMAGES} or {LABELS} in the gzip file, found {magic}")
    return _header_bytes(magic) + math.prod(_shape(header, magic))


def _header_bytes(magic: int) -> int:
    return 4 + 4 * _KINDS[magic][1]


def _shape(data: bytes, magic: int) -> tuple[int, ...]:
    """The sizes in the header of *data*, which must start with *magic*."""
    what, ndim = _KINDS[magic]
    if len(data) < _header_bytes(magic):
        raise IdxFormatError(f"expected {_header_bytes(magic)} bytes of header, found {len(data)}", hint=_MAKE_AGAIN)
    found, *shape = struct.unpack_from(f">{1 + ndim}I", data)
    if found != magic:
        other = f"the magic of {_KINDS[found][0]}" if found in _KINDS else f"{data[:4].hex(' ')}"
        hint = "the files of images and labels are swapped" if found in _KINDS else "name an IDX file of MNIST"
        raise IdxFormatError(f"expected the magic {magic} of {what}, found {other}", hint=hint)
    if not all(0 < edge <= MAX_EDGE for edge in shape[1:]):
        edges = " x ".join(map(str, shape[1:]))
        raise IdxFormatError(f"expected rows and columns of 1 to {MAX_EDGE}, found {edges}", hint=_MAKE_AGAIN)
    return tuple(shape)
