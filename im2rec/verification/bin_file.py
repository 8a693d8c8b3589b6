"""A verification file as a sequence of pairs: each image is read when it is asked for, and none is kept."""

from __future__ import annotations

import operator
import os
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from im2rec.errors import InputError
from im2rec.format.binfile import BinContent, decode_bin
from im2rec.format.heads import MAGIC
from im2rec.format.ndarrayfile import FILE_MAGIC
from im2rec.format.pickled_bytes import Stored
from im2rec.storage.files import Closeable, InputFile, PathLike, with_path
from im2rec.storage.foreign import known_format, likely_format

_START_BYTES = 4096
# A pickle says its protocol. Those of protocols 0 and 1 do not: they begin with marks and a list, a dictionary, or a
# name, or with two marks and a string.
_PICKLE = re.compile(rb"\x80[\0-\x09]|\(*(\([ld][p(cSV]|[\]}]|\(c[\w.]+\n|\(\((S['\"]|[TU]))")
_CHECK = "check the path"
_KEY_BYTES = 1024  # more is no key of an image
_MEGAFACE = (1, 4, 5)  # columns, bytes of a number, and OpenCV's type of float32


class Pair(NamedTuple):
    """Two encoded images, as bytes, and whether both show the same person.

    >>> with im2rec.open_bin("pairs.bin") as pairs:
    ...     content1, content2, same = pairs[3]
    >>> content1[:4], im2rec.decode(content2).pixels.shape, same
    (b'\\xff\\xd8\\xff\\xe0', (112, 112, 3), False)
    """

    content1: bytes
    content2: bytes
    same: bool


class PairFile(Sequence[Pair], Closeable):
    """The pairs of the verification file at *path*, such as ``lfw.bin``, in their order.

    >>> with im2rec.PairFile("pairs.bin") as pairs:
    ...     content1, content2, same = pairs[3]
    ...     print(pairs, pairs.same.mean())
    <PairFile 'pairs.bin': 20 pairs, 10 same> 0.5

    The pickle is read without running anything that it names. Images stay in the file, encoded, until they are asked
    for. *same* are the truth values of all pairs, bool (n,). *found* is what the pickle holds, and how it was written.

    Pickling stores the path: a copy reads the file again, so workers of a DataLoader may be forked or spawned. Raises
    InputError for whatever is no verification file, and says what was found instead.
    """

    def __init__(self, path: PathLike) -> None:
        self._file = InputFile(path)
        try:
            _refuse_other(self._file)
            self.found: BinContent = decode_bin(self._file)
        except InputError as error:
            self.close()
            raise with_path(error, self.path) from None
        except BaseException:
            self.close()
            raise
        self.same: npt.NDArray[np.bool_] = np.array(self.found.same, np.bool_)

    @property
    def path(self) -> Path:
        """Path of the file."""
        return self._file.path

    @property
    def nbytes(self) -> int:
        """Size of the file in bytes."""
        return self._file.size

    def __len__(self) -> int:
        return len(self.found.same)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> list[Pair]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Pair | list[Pair]:
        """Return the pair at *index*, or those of a slice as a list. Raises IndexError, TypeError, InputError."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = self.number(index)
        return Pair(self.content(2 * number), self.content(2 * number + 1), self.found.same[number])

    def number(self, index: SupportsIndex) -> int:
        """Return the number, from 0, of the pair at *index*; negative ones count from the end. Raises IndexError."""
        number, count = operator.index(index), len(self)
        if not -count <= number < count:
            raise IndexError(f"pair {number} is not in {os.fspath(self.path)}, which has {count}")
        return number % count

    def content(self, image: int) -> bytes:
        """Return the encoded image with this number, from 0: pair i has the images 2i and 2i + 1.

        Raises InputError if the file has changed since it was opened.
        """
        return read_content(self._file, self.found.contents[image])

    def close(self) -> None:
        """Close the file. Calling it twice is allowed; images cannot be read afterwards."""
        self._file.close()

    def __repr__(self) -> str:
        return f"<PairFile {os.fspath(self.path)!r}: {len(self):,} pairs, {int(self.same.sum()):,} same>"

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "size": self.nbytes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]
        if self.nbytes != state["size"]:
            self.close()
            problem = f"had {state['size']} bytes and now has {self.nbytes}"
            raise InputError(problem, path=state["path"], hint="open it again")


def open_bin(path: PathLike) -> PairFile:
    """Open the verification file at *path*, such as ``lfw.bin``, as a sequence of pairs: see :class:`PairFile`.

    Raises InputError for whatever is no verification file, and says what was found instead.

    >>> with im2rec.open_bin("pairs.bin") as pairs:
    ...     print(len(pairs), [pair.same for pair in pairs[:4]])
    20 [True, False, True, False]
    >>> im2rec.open_bin("photos_train.rec")
    Traceback (most recent call last):
        ...
    im2rec.errors.InputError: photos_train.rec: ...
    """
    return PairFile(path)


def read_content(file: InputFile, content: bytes | Stored) -> bytes:
    """Return the bytes of an image that was found in *file*. Raises InputError if the file has changed since."""
    if isinstance(content, bytes):
        return content
    try:
        return content.read(file)
    except (EOFError, ValueError):
        raise InputError("was changed while it was open", path=file.path, hint="open it again") from None


def _refuse_other(file: InputFile) -> None:
    """Raise InputError, which says what the file is, unless it begins as a pickle may begin."""
    if not file.size:
        raise InputError("is empty: it holds no pairs", hint="make or fetch it again")
    start = file.read_at(0, _START_BYTES)
    if not _PICKLE.match(start):
        kind, hint = _other_kind(start, file.size)
        raise InputError(f"is no verification file: it is {kind}", hint=hint)


def _other_kind(start: bytes, size: int) -> tuple[str, str]:
    """Return what the file of *size* bytes is that begins with *start*, and what to do."""
    if start.startswith(MAGIC):
        return "a RecordIO file (.rec)", "run 'im2rec inspect' on it"
    if start.startswith(struct.pack("<Q", FILE_MAGIC)):
        return "a file of MXNet's arrays, such as a mean image", _CHECK
    if len(start) >= 16 and struct.unpack_from("<3i", start, 4) == _MEGAFACE:
        return "a file of features, as MegaFace's are", "features cannot be turned back into images"
    if _is_key_and_value(start, size):
        return "a file of keys and pickled images, as PaddlePaddle's are", _CHECK
    return known_format(start) or likely_format(start)


def _is_key_and_value(start: bytes, size: int) -> bool:
    """True if the file begins with a length, a key, a length, and a pickle of that length.

    Source: insightface recognition/arcface_paddle/datasets/kv_helper.py.
    """
    length = int.from_bytes(start[:4], "little")
    if not 0 < length <= _KEY_BYTES or len(start) < length + 9:
        return False
    is_key = start[4 : 4 + length].decode("utf-8", "replace").isprintable()
    value = int.from_bytes(start[4 + length : 8 + length], "little")
    return is_key and value <= size - 8 - length and _PICKLE.match(start, 8 + length) is not None
