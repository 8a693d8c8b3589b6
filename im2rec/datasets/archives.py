"""The files of a set, read by name from a folder or out of a tar file; nothing is ever unpacked to the disk."""

from __future__ import annotations

import contextlib
import os
import tarfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, BinaryIO

from im2rec.errors import InputError
from im2rec.storage.files import InputFile, PathLike, reading

MAX_MEMBER_BYTES = 256 << 20  # the largest, CIFAR-100's training pictures, has 155 MB
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
    with contextlib.closing(InputFile(path)) as file:
        _check_size(os.fspath(path), file.size)
        return file.read_at(0, file.size)


def _check_size(name: str, size: int) -> None:
    if not 0 <= size <= MAX_MEMBER_BYTES:  # below 0, tarfile would go round in a circle
        problem = f"{name}: claims {size:,} bytes, which no file of this set has"
        raise InputError(problem, hint="is it the right file?")


class _Member(tarfile.TarInfo):
    """A member whose size is looked at before anybody trusts it."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        """As tarfile reads a header. Raises InputError for what is larger than it can be."""
        member = super().frombuf(buf, encoding, errors)
        _check_size(member.name, member.size)
        if member.type in _HEADERS and member.size > _MAX_HEADER_BYTES:
            raise InputError(f"holds a header of {member.size:,} bytes", hint=_MAKE_AGAIN)
        return member


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
