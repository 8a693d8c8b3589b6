"""Read the files of a set by name, from a folder or a tar file. Nothing is unpacked to disk."""

from __future__ import annotations

import contextlib
import tarfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, BinaryIO

from im2rec.errors import InputError
from im2rec.storage.files import InputFile, PathLike, open_binary, reading, with_path

MAX_MEMBER_BYTES = 256 << 20  # the largest, CIFAR-100's training images, has 155 MB
MAX_TAR_BYTES = 1 << 30
MAX_MEMBERS = 1000
# Of headers with long names and the like: of one, and of all. tarfile searches them by patterns that take time by the
# square of their size (CVE-2024-6232), 4 s for 64 KiB of digits.
_MAX_HEADER_BYTES, _MAX_HEADERS_BYTES = 1 << 13, 1 << 20
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
        _check_size(file.size, path=path)
        return file.read_at(0, file.size)


def _check_size(size: int, *, path: Path | None = None, member: str = "") -> None:
    """Raise InputError for a size in bytes that no file of a set has: of *path*, or of the *member* of a tar file."""
    if not 0 <= size <= MAX_MEMBER_BYTES:  # with a negative size, tarfile would loop for ever
        problem = f"{member}{': ' if member else ''}claims {size:,} bytes, which no file of this set has"
        raise InputError(problem, path=path, hint="is it the right file?")


class _Tar(tarfile.TarFile):
    header_bytes = 0  # of the headers read so far, without those that every member has


class _Member(tarfile.TarInfo):
    """A member of a tar file; its size is checked before tarfile reads that many bytes.

    Source: CPython's Lib/tarfile.py, where a comment names ``_proc_member`` as the entry point that a subclass may
    override. Every header passes through it, the nested ones too; Python 3.14.10 no longer calls ``frombuf`` for any.
    """

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        """Process the header as tarfile does. Raises InputError for a size that no file or header of a set has."""
        _check_size(self.size, member=self.name)
        if self.type in _HEADERS:
            if self.size > _MAX_HEADER_BYTES:
                raise InputError(f"holds a header of {self.size:,} bytes", hint=_MAKE_AGAIN)
            assert isinstance(tar, _Tar)
            tar.header_bytes += self.size
            if tar.header_bytes > _MAX_HEADERS_BYTES:
                raise InputError(f"holds headers of more than {_MAX_HEADERS_BYTES:,} bytes", hint=_MAKE_AGAIN)
        return super()._proc_member(tar)  # type: ignore[misc, no-any-return]


def _read_tar(path: PathLike, names: Collection[str]) -> dict[str, bytes]:
    with reading(path), open_binary(path) as file:
        try:
            with _open_tar(file) as tar:
                return dict(_read_members(tar, names))
        except InputError as error:
            raise with_path(error, path) from None


@contextlib.contextmanager
def _open_tar(file: BinaryIO) -> Iterator[tarfile.TarFile]:
    """Open the tar file *file*; errors of tarfile in the ``with`` block are raised as InputError."""
    compressed = file.read(2) == _GZIP
    file.seek(0)
    try:
        with _Tar.open(fileobj=file, mode="r:gz" if compressed else "r:", tarinfo=_Member) as tar:
            yield tar
    # tarfile reads nested headers by recursion (RecursionError), and the numbers in them by int() (ValueError).
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, RecursionError) as error:
        problem = str(error).partition("\n")[0]
        raise InputError(f"is not a complete tar file: {problem}", hint=f"{_MAKE_AGAIN}, or unpack it") from None


def _read_members(tar: tarfile.TarFile, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file in *names*, in the order of the tar: to seek back would inflate it again."""
    total, seen = 0, set()
    for number, member in enumerate(tar):
        _check_size(member.size, member=member.name)
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
