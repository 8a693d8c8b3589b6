"""The files of a set, read by name from a folder or out of a tar file, and the pickles among them.

Nothing is ever unpacked to the disk. No name in a pickle is ever looked up: Python's unpickler imports and calls
whatever a file names, and this is its restricted form, as the manual describes it. The few names that arrays of numpy
are written with stand for functions of our own, and any other is an error. A file made to do harm can run nothing and
name no shape beyond its bytes; it can still make Python's unpickler take memory or time.

Source: Python's manual, pickle, "Restricting Globals"; numpy ``ndarray.__reduce__`` and ``__reduce_ex__``.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import tarfile
import zlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from im2rec.datasets.sets import Bytes
from im2rec.errors import InputError
from im2rec.storage.files import InputFile, PathLike, reading

MAX_MEMBER_BYTES = 256 << 20  # the largest, CIFAR-100's training images, has 155 MB
MAX_TAR_BYTES = 1 << 30
MAX_MEMBERS = 1000
_MAX_HEADER_BYTES = 1 << 16  # of those that hold long names and the like, which tarfile reads whole
_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_READ_BYTES = 1 << 20
_GZIP = b"\x1f\x8b"
_MAKE_AGAIN = "make or fetch the file again"


def read_members(source: PathLike, names: Collection[str]) -> dict[str, bytes]:
    """The contents of those of *names* that are files in the folder *source*, or in the tar file *source*.

    In a tar file, compressed by gzip or not, they may stand in any folder; links and devices are passed over. Raises
    InputError: *source* cannot be read, is damaged, a file is larger than ``MAX_MEMBER_BYTES`` or is there twice.
    """
    with reading(source):
        is_folder = Path(source).is_dir()
    if not is_folder:
        return _read_tar(source, names)
    return {name: _read_file(path) for name in names if (path := Path(source, name)).is_file()}


def _read_file(path: Path) -> bytes:
    with InputFile(path) as file:
        _check_size(os.fspath(path), file.size)
        return file.read_at(0, file.size)


def _check_size(name: str, size: int) -> None:
    if not 0 <= size <= MAX_MEMBER_BYTES:  # below 0, tarfile would go round in a circle
        problem = f"{name}: claims {size:,} bytes, which no file of this set has"
        raise InputError(problem, hint="is it the right file?")


class _Member(tarfile.TarInfo):
    """A member whose size is checked before anything is read by it.

    Source: CPython's Lib/tarfile.py, where a comment names ``_proc_member`` as the entry point that a subclass may
    override. Every header passes through it, the nested ones too; Python 3.14.10 no longer calls ``frombuf`` for any.
    """

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        """Process the header as tarfile does. Raises InputError for a size that no file or header of a set has."""
        _check_size(self.name, self.size)
        if self.type in _HEADERS and self.size > _MAX_HEADER_BYTES:
            raise InputError(f"holds a header of {self.size:,} bytes", hint=_MAKE_AGAIN)
        return super()._proc_member(tar)  # type: ignore[misc, no-any-return]


def _read_tar(path: PathLike, names: Collection[str]) -> dict[str, bytes]:
    InputFile(path).close()  # which says what is wrong with a path
    with reading(path), Path(path).open("rb") as file:
        try:
            with _opened(file) as tar:
                return dict(_members(tar, names))
        except InputError as error:
            raise InputError(f"{os.fspath(path)}: {error.problem}", hint=error.hint) from None


@contextlib.contextmanager
def _opened(file: BinaryIO) -> Iterator[tarfile.TarFile]:
    """The tar file in *file*; what goes wrong with it in the block becomes an InputError."""
    compressed = file.read(2) == _GZIP
    file.seek(0)
    try:
        with tarfile.open(fileobj=file, mode="r:gz" if compressed else "r:", tarinfo=_Member) as tar:
            yield tar
    # Nested headers are read by recursion, and numbers in them by int().
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, RecursionError) as error:
        said = str(error).partition("\n")[0]
        raise InputError(f"is no whole tar file: {said}", hint=f"{_MAKE_AGAIN}, or unpack it") from None


def _members(tar: tarfile.TarFile, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Name and content of each wanted file; in the order of the tar, as going back would inflate it again."""
    total, seen = 0, set()
    for number, member in enumerate(tar):
        _check_size(member.name, member.size)
        total += member.size
        if number >= MAX_MEMBERS or total > MAX_TAR_BYTES:
            raise InputError("holds more than any archive of this set", hint="is it the right file?")
        name = member.name.rpartition("/")[2]
        if name in names and member.isreg() and not member.issparse():
            if name in seen:
                raise InputError(f"holds {name} twice", hint=_MAKE_AGAIN)
            seen.add(name)
            file = tar.extractfile(member)
            assert file is not None
            yield name, _content(file, member.size)


def _content(file: IO[bytes], size: int) -> bytes:
    """The *size* bytes of *file*, piece by piece: a read makes room for all it is asked for, and a size may lie."""
    parts = []
    while size > 0 and (part := file.read(min(size, _READ_BYTES))):
        parts.append(part)
        size -= len(part)
    if size:
        raise EOFError("it ends early")
    return b"".join(parts)


def load_pickle(data: bytes) -> Any:
    """What the pickle *data* holds: dict, list, tuple, bytes, str, numbers, bool, None, and arrays of uint8.

    An array, read without a copy, is at the top or in the dictionary at the top; anywhere else it is left a stand-in.
    Strings of Python 2 come back as bytes. Raises InputError for any other name, any other array, and damage.
    """
    try:
        value = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        return {key: _settled(item) for key, item in value.items()} if type(value) is dict else _settled(value)
    except InputError:
        raise
    except Exception:  # noqa: BLE001 - the manual names some that damage can raise, "not necessarily limited to" them
        raise InputError("is no whole pickle of plain data and uint8 arrays", hint=_MAKE_AGAIN) from None


class _Name:
    """What a name in a pickle stands for: *call* is called in its place."""

    __slots__ = ("_call",)  # and no attributes that a file could give it

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        """Take none: that of the type is the order of its bytes, of which there is one."""


class _Array:
    """An array, empty until its state comes."""

    __slots__ = ("value",)

    def __init__(self, value: Bytes | None = None) -> None:
        self.value = value

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, by_column, content = state
        self.value = _from_buffer(content, dtype, shape, "F" if by_column else "C").value


def _nothing(*_: Any) -> None:
    raise TypeError


_NDARRAY, _UINT8 = _Name(_nothing), _Name(_nothing)  # which are named, and not called


def _dtype(name: Any, *_: Any) -> _Name:
    if name not in ("u1", b"u1"):
        raise InputError("expected an array of bytes ('u1'), found one of another type", hint=_MAKE_AGAIN)
    return _UINT8


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    if dtype is not _UINT8 or type(content) not in (bytes, bytearray) or type(shape) is not tuple:
        raise TypeError
    if not all(type(edge) is int and edge >= 0 for edge in shape):  # numpy would fit an edge of -1 to the others
        raise ValueError
    if order != "C":
        raise InputError("expected an array row by row, found one column by column", hint=_MAKE_AGAIN)
    return _Array(np.frombuffer(content, np.uint8).reshape(shape))  # a ValueError when it has not as many bytes


def _encode(text: str, encoding: str) -> bytes:
    """Bytes of Python 3 in a pickle that Python 2 can read."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError
    return text.encode("latin-1")


_NAMES = {
    "numpy.ndarray": _NDARRAY,
    "numpy.dtype": _Name(_dtype),
    "_codecs.encode": _Name(_encode),
    **{f"numpy.{core}.multiarray._reconstruct": _Name(lambda *_: _Array()) for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _Name(_from_buffer) for core in ("core", "_core")},
}


class _Unpickler(pickle.Unpickler):
    """Python's, which finds no name but ours."""

    def find_class(self, module: str, name: str) -> _Name:
        """What ``module.name`` stands for here. Raises InputError for a name that is not ours."""
        found = _NAMES.get(f"{module}.{name}")
        if found is None:
            shown = f"{module[:80]}.{name[:80]}".encode("unicode_escape").decode()  # one line, whatever is in it
            problem = f"the pickle names {shown}, which no set of images needs, and is not read"
            raise InputError(problem, hint="do not trust this file")
        return found


def _settled(value: Any) -> Any:
    """*value*, or the array it stands for; a name that is nothing but a name is refused."""
    if type(value) is _Name or (type(value) is _Array and value.value is None):
        raise TypeError
    return value.value if type(value) is _Array else value
