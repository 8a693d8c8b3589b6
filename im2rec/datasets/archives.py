"""Read the files of a set by name, from a folder or a tar file, and load the pickles among them safely.

Nothing is unpacked to disk. Python's unpickler imports and calls whatever a file names; this is its restricted form, as
the manual describes it. It imports nothing: the few names by which numpy pickles arrays are mapped to functions of
this module, and any other name is an error. A malicious file can run no code and create no array larger than its
bytes; it can still make Python's unpickler take memory or time.

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
_MAX_HEADER_BYTES = 1 << 16  # of headers with long names and the like, which tarfile reads into memory whole
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
    """Return the contents of those of *names* that are files in *source*, a folder or a tar file.

    A tar file may be compressed by gzip, and the files may be in any folder of it; links and devices are ignored.
    Raises InputError when *source* cannot be read or is damaged, or when a file is larger than ``MAX_MEMBER_BYTES`` or
    occurs twice.
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
    """Raise InputError for a size in bytes that no file of a set has."""
    if not 0 <= size <= MAX_MEMBER_BYTES:  # with a negative size, tarfile would loop for ever
        problem = f"{name}: claims {size:,} bytes, which no file of this set has"
        raise InputError(problem, hint="is it the right file?")


class _Member(tarfile.TarInfo):
    """A member of a tar file; its size is checked before tarfile reads that many bytes.

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
    InputFile(path).close()  # raises InputError for a path that is not a readable file
    with reading(path), Path(path).open("rb") as file:
        try:
            with _open_tar(file) as tar:
                return dict(_read_members(tar, names))
        except InputError as error:
            raise InputError(f"{os.fspath(path)}: {error.problem}", hint=error.hint) from None


@contextlib.contextmanager
def _open_tar(file: BinaryIO) -> Iterator[tarfile.TarFile]:
    """Open the tar file *file*; errors of tarfile in the ``with`` block are raised as InputError."""
    compressed = file.read(2) == _GZIP
    file.seek(0)
    try:
        with tarfile.open(fileobj=file, mode="r:gz" if compressed else "r:", tarinfo=_Member) as tar:
            yield tar
    # tarfile reads nested headers by recursion (RecursionError), and the numbers in them by int() (ValueError).
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, RecursionError) as error:
        problem = str(error).partition("\n")[0]
        raise InputError(f"is not a complete tar file: {problem}", hint=f"{_MAKE_AGAIN}, or unpack it") from None


def _read_members(tar: tarfile.TarFile, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file in *names*, in the order of the tar: to seek back would inflate it again."""
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
    """Read *size* bytes in blocks: a single read allocates them all, and the size in a damaged header is arbitrary."""
    parts = []
    while size > 0 and (part := file.read(min(size, _READ_BYTES))):
        parts.append(part)
        size -= len(part)
    if size:
        raise EOFError("it ends early")
    return b"".join(parts)


def load_pickle(data: bytes) -> Any:
    """Load the pickle *data*: dict, list, tuple, bytes, str, numbers, bool, None, and arrays of uint8.

    An array, which is a view of *data*, must be the value itself or a value of the outermost dictionary; anywhere else
    it stays a placeholder. Strings of Python 2 become bytes. Raises InputError for any other name or array, and for
    damage.
    """
    try:
        value = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        return {key: _resolve(item) for key, item in value.items()} if type(value) is dict else _resolve(value)
    except InputError:
        raise
    except Exception:  # noqa: BLE001 - the manual names some that damage can raise, "not necessarily limited to" them
        raise InputError("is not a complete pickle of plain data and uint8 arrays", hint=_MAKE_AGAIN) from None


class _Name:
    """The replacement of a global that a pickle names: *call* is called in its place."""

    __slots__ = ("_call",)  # no other attributes, so that a file cannot set any

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        """Ignore the state: that of a dtype is its byte order, and uint8 has none."""


class _Array:
    """A placeholder of an array; *value* is None until the pickle sets its state."""

    __slots__ = ("value",)

    def __init__(self, value: Bytes | None = None) -> None:
        self.value = value

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, by_column, content = state
        self.value = _from_buffer(content, dtype, shape, "F" if by_column else "C").value


def _refuse_call(*_: Any) -> None:
    raise TypeError


_NDARRAY, _UINT8 = _Name(_refuse_call), _Name(_refuse_call)  # only named as arguments, never called, by numpy


def _dtype(name: Any, *_: Any) -> _Name:
    """Replace ``numpy.dtype``. Raises InputError for any type but uint8."""
    if name not in ("u1", b"u1"):
        raise InputError("expected an array of bytes ('u1'), found one of another type", hint=_MAKE_AGAIN)
    return _UINT8


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    """Replace numpy's ``_frombuffer``: return an array over *content*, without a copy."""
    if dtype is not _UINT8 or type(content) not in (bytes, bytearray) or type(shape) is not tuple:
        raise TypeError
    if not all(type(edge) is int and edge >= 0 for edge in shape):  # numpy would compute an edge of -1
        raise ValueError
    if order != "C":
        raise InputError("expected an array row by row, found one column by column", hint=_MAKE_AGAIN)
    return _Array(np.frombuffer(content, np.uint8).reshape(shape))  # ValueError for another number of bytes


def _encode(text: str, encoding: str) -> bytes:
    """Replace ``_codecs.encode``, by which Python 3 writes bytes in a pickle of protocol 2."""
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
    """Python's unpickler, which finds only the names in ``_NAMES``."""

    def find_class(self, module: str, name: str) -> _Name:
        """Return the replacement of ``module.name``. Raises InputError for any name but those in ``_NAMES``."""
        replacement = _NAMES.get(f"{module}.{name}")
        if replacement is None:
            shown = f"{module[:80]}.{name[:80]}".encode("unicode_escape").decode()  # one line, whatever is in it
            problem = f"the pickle names {shown}, which no set of images needs, and is not read"
            raise InputError(problem, hint="do not trust this file")
        return replacement


def _resolve(value: Any) -> Any:
    """Return *value*, or the array of a placeholder. Raises TypeError for a bare name or an empty placeholder."""
    if type(value) is _Name or (type(value) is _Array and value.value is None):
        raise TypeError
    return value.value if type(value) is _Array else value
