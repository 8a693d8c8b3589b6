"""Verification files of InsightFace, such as ``lfw.bin``: bytes to pairs of faces, and pairs to bytes.

::

    file  =  one pickle of (contents, same)

*contents* are 2n encoded images, of which pair i has the numbers 2i and 2i+1; *same* are n truth values: whether pair i
shows the same person. Ten Pythons and numpys write them in thirty forms, which are all read alike here, by the
restricted unpickler of :mod:`im2rec.format.pickles`: nothing runs that a file names, and time and memory are bounded by
its length. An image is not read, only found: it is its place in the file.

Source: insightface recognition/arcface_torch/eval/verification.py, ``load_bin``, and the scripts that write such files:
lfw2pack.py, cfp2pack.py, build_eval_pack.py.
"""

from __future__ import annotations

import pickle
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from im2rec.errors import InputError, ParameterError, counted
from im2rec.format.pickled_bytes import (
    BYTES,
    BYTES_NAMES,
    STR,
    ArrayOf,
    BinUnpickler,
    NumpyNumber,
    Stored,
    described_value,
    whole_number,
)
from im2rec.format.pickles import RefusedPickleError
from im2rec.format.recordio import Source

KIND = "verification file"
CUT = "the file was cut short: fetch it again"
_NOT_TRUSTED = "it is something else, damaged, or made to do harm: do not trust it"
_SHAPE = "a pair of images and truth values"
_FRAME, _LEAST_FRAME = 1 << 16, 4  # bytes of a pickle's frame: longer ones are closed, shorter ones have no head
_BATCH = 1000  # items of a list between a mark and its APPENDS


T = TypeVar("T")


class BinContent(NamedTuple):
    """What a verification file holds, and how it was written.

    *contents* are the images, two for each of *same*: bytes, or where the bytes are in the file; one that the pickle
    uses several times is the same object each time. *images_as* counts them by how they are written, *same_as* says how
    the truth values are. *names* are the (module, name) that the pickle asks for. *trailing* bytes follow it.
    """

    contents: list[bytes | Stored]
    same: list[bool]
    protocol: int
    container: str
    images_as: dict[str, int]
    same_as: str
    names: list[tuple[str, str]]
    trailing: int


def decode_bin(source: Source) -> BinContent:
    """Read the pickle of the verification file *source*, a file or ``BytesSource(data)``, and run nothing.

    Raises InputError, which says what was found and mostly at which byte, for whatever is not n pairs of encoded
    images: a name or an opcode that such files do not need, a memo number or a length above the size of the file,
    damage, other contents, another number of images than 2n, and an empty image.
    """
    unpickler = BinUnpickler(source, KIND)
    try:
        value = unpickler.load()
    except InputError as error:
        error.offset = unpickler.content.at if error.offset is None and error.path is None else error.offset
        raise
    except EOFError:
        raise InputError("ends before its pickle does", offset=source.size, hint=CUT) from None
    except RefusedPickleError as error:
        raise InputError(f"the pickle {error}", offset=unpickler.content.at, hint=_NOT_TRUSTED) from None
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - the manual names some that damage can raise, "not necessarily limited to" them
        problem = f"is no {KIND}, or is damaged: the pickle cannot be followed beyond this byte"
        raise InputError(problem, offset=unpickler.content.at, hint="fetch it again") from None
    images, flags = _two_items(value)
    contents, images_as = _contents(images, unpickler)
    _check_counts(contents, _flag_count(flags))  # before the items of an array become objects: millions, of no image
    same, same_as = _truth_values(flags, source)
    return BinContent(
        contents,
        same,
        unpickler.protocol,
        type(value).__name__,
        images_as,
        same_as,
        sorted(unpickler.used),
        source.size - unpickler.content.at,
    )


def _two_items(value: Any) -> tuple[Any, Any]:
    """Return the two items of the *value* of a pickle. Raises InputError for any other value."""
    if type(value) not in (tuple, list):
        raise InputError(
            f"is no {KIND}: its pickle holds {described_value(value)}, not {_SHAPE}", hint="check the path"
        )
    if len(value) != 2:
        found = f"{counted(len(value), 'item')} ({', '.join(map(described_value, value[:3]))}"
        problem = f"is no {KIND}: its pickle holds {found}{', ...' if len(value) > 3 else ''}), not {_SHAPE}"
        raise InputError(problem, hint="check the path")
    return value[0], value[1]


def _contents(images: Any, unpickler: BinUnpickler) -> tuple[list[bytes | Stored], dict[str, int]]:
    """Return the contents of the list *images*, and their number by how they are written. Raises InputError."""
    if type(images) not in (list, tuple):
        problem = f"is no {KIND}: its first item is {described_value(images)}, not a list of images"
        is_numbers = isinstance(images, ArrayOf) and hasattr(images, "shape") and images.dtype.item_bytes is not None
        hint = "features cannot be turned back into images" if is_numbers else "check the path"
        raise InputError(problem, hint=hint)
    contents: list[bytes | Stored] = []
    kinds: Counter[str] = Counter()
    for number, image in enumerate(images):
        content, kind = image, ""
        if isinstance(image, ArrayOf):
            if image.is_flat and image.dtype.name == "u1":
                content, kind = image.content, f"array {'(n,)' if len(image.shape) == 1 else '(n, 1)'}"
        elif isinstance(image, Stored):
            kind = image.kind
        elif type(image) is bytes:
            kind = STR if unpickler.protocol < 3 and not unpickler.used & BYTES_NAMES else BYTES
        if not kind:
            problem = f"is no {KIND}: image {number:,} is {described_value(image)}, not an encoded image"
            raise InputError(problem, hint="images are numbered from 0")
        contents.append(content)
        kinds[kind] += 1
    return contents, dict(kinds)


def _flag_count(flags: Any) -> int:
    """Return the number of items of *flags*. Raises InputError unless it is a list, or an array of whole numbers."""
    if isinstance(flags, ArrayOf) and flags.is_flat and flags.dtype.is_whole:
        return flags.shape[0]
    if type(flags) in (list, tuple):
        return len(flags)
    problem = f"is no {KIND}: its second item is {described_value(flags)}, not a list of truth values"
    raise InputError(problem, hint="check the path")


def _truth_values(flags: Any, source: Source) -> tuple[list[bool], str]:
    """Return the truth values of the list or array *flags*, and how they are written. Raises InputError."""
    if isinstance(flags, ArrayOf):
        data = flags.content if isinstance(flags.content, bytes) else flags.content.read(source)
        values: list[Any] = np.frombuffer(data, flags.dtype.name).tolist()
        written = f"ndarray of {flags.dtype.title}"
    else:
        values = [flag if (number := whole_number(flag)) is None else number for flag in flags]
        names = Counter(_type_name(flag) for flag in flags)
        written = f"list of {' and '.join(names)}"
    for number, flag in enumerate(values):
        if whole_number(flag) not in (0, 1):
            found = f"{flag}" if type(flag) is int and abs(flag) < 1 << 64 else described_value(flag)
            problem = f"is no {KIND}: of pair {number:,} it says {found}, where 1 means the same person and 0 another"
            raise InputError(problem, hint="pairs are numbered from 0")
    return list(map(bool, values)), written


def _type_name(flag: Any) -> str:
    if isinstance(flag, NumpyNumber):
        return f"numpy.{'bool_' if flag.dtype.name == 'b1' else flag.dtype.title}"
    return type(flag).__name__


def _check_counts(contents: Sequence[bytes | Stored], pairs: int) -> None:
    """Raise InputError unless there are two images for each of *pairs*, none of them empty."""
    if len(contents) != 2 * pairs:
        problem = f"holds {counted(len(contents), 'image')} for {counted(pairs, 'pair')}, which have {2 * pairs:,}"
        raise InputError(problem, hint="make it again from its list of pairs")
    if not pairs:
        raise InputError("holds no pairs", hint="check the path")
    for number, content in enumerate(contents):
        if not len(content):
            problem = f"image {number:,} is empty: that of pair {number // 2:,}, {_SIDES[number % 2]}"
            raise InputError(problem, hint="images and pairs are numbered from 0")


_SIDES = ("the first of the two", "the second of the two")


# Writing.


def encode_bin(contents: Sequence[bytes], same: Sequence[bool]) -> Iterator[bytes]:
    """Yield the bytes of a verification file in pieces: protocol 4, bytes and bools, which all published readers take.

    They are those of ``pickle.dumps((contents, same), 4)`` for lists of objects that are all different, by Python 3.7
    to 3.13; by 3.6 too where no image has 65,536 bytes. *contents* may read an image when it is asked for it: each is
    taken once, in order. Raises ParameterError unless there are two for each of *same*.

    Source: CPython's Modules/_pickle.c, ``save_list``, ``save_bytes`` and the frames of ``_Pickler_Write``.
    """
    if len(contents) != 2 * len(same):
        raise ParameterError(f"{len(contents):,} contents for {len(same):,} pairs: there must be two for each")
    frames = _Frames()
    yield pickle.PROTO + b"\4"
    yield from _encoded_list(frames, contents, _Frames.add_content)
    yield from _encoded_list(frames, same, _Frames.add_flag)
    frames.add(pickle.TUPLE2 + pickle.MEMOIZE + pickle.STOP)
    yield frames.end()


def _encoded_list(frames: _Frames, items: Sequence[T], add: Callable[[_Frames, T], None]) -> Iterator[bytes]:
    """Yield the frames that become complete while the list *items* is written, each item by *add*."""
    yield frames.begin()
    frames.add(pickle.EMPTY_LIST + pickle.MEMOIZE)
    for number, item in enumerate(items):
        if number % _BATCH == 0 and len(items) > 1:
            frames.add(pickle.MARK)
        yield frames.begin()
        add(frames, item)
        if len(items) == 1:
            frames.add(pickle.APPEND)
        elif number % _BATCH == _BATCH - 1 or number == len(items) - 1:
            frames.add(pickle.APPENDS)


class _Frames:
    """The frame of a pickle of protocol 4 that is being written, after those that are closed."""

    def __init__(self) -> None:
        self._frame = bytearray()
        self._closed: list[bytes] = []

    def begin(self) -> bytes:
        """Begin an object: close the frame if it is long enough. Return the bytes that are complete."""
        if len(self._frame) >= _FRAME:
            self._close()
        data, self._closed = b"".join(self._closed), []
        return data

    def end(self) -> bytes:
        """Return all bytes that are left."""
        self._close()
        return b"".join(self._closed)

    def _close(self) -> None:
        if len(self._frame) >= _LEAST_FRAME:
            self._closed.append(pickle.FRAME + struct.pack("<Q", len(self._frame)))
        self._closed.append(bytes(self._frame))
        self._frame = bytearray()

    def add(self, data: bytes) -> None:
        """Write *data* in the frame."""
        self._frame += data

    def add_content(self, content: bytes) -> None:
        """Write an image: in the frame, or if it is large between two frames."""
        size = len(content)
        if size < 1 << 8:
            head = pickle.SHORT_BINBYTES + struct.pack("<B", size)
        elif size < 1 << 32:
            head = pickle.BINBYTES + struct.pack("<I", size)
        else:
            head = pickle.BINBYTES8 + struct.pack("<Q", size)
        if size < _FRAME:
            self._frame += head + content
        else:
            self._close()
            self._closed += [head, content]
        self._frame += pickle.MEMOIZE

    def add_flag(self, flag: bool) -> None:
        """Write a truth value."""
        self._frame += pickle.NEWTRUE if flag else pickle.NEWFALSE
