"""Download the files of a published set, with resume and MD5 check.

An interrupted download is kept as ``<name>.part`` and resumed by the next call. A file gets its final name only when
its MD5 sum is correct.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import http.client
import re
import stat
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn

from im2rec.datasets.sets import SETS, KnownSet, RemoteFile
from im2rec.errors import InputError, OutputError, ParameterError
from im2rec.progress import BYTE, Phase, Progress, begin_phase
from im2rec.storage import disk
from im2rec.storage.files import reason
from im2rec.storage.output import writing

MAX_FRUITLESS = 3  # responses in a row without a new byte
MAX_RESPONSES = 20
_BLOCK_BYTES = 1 << 16
_RETRY_STATUSES = (408, 429)  # request timeout, too many requests: the only 4xx that may pass
_RANGE_NOT_SATISFIABLE = 416
_RANGE = re.compile(r"bytes (\d+)-")
WAIT = "wait for it"
_OTHER_SOURCES = "or name a server with --mirror, or files with --from"
ByteProgress = Callable[[int], None]
_PART = ".part"


@dataclasses.dataclass(frozen=True)
class FetchOptions:
    """Options of a download: *mirror* replaces the published address, *timeout_s* is that of a single read.

    *pause_s* is the time before a request is repeated. Raises ParameterError.
    """

    mirror: str | None = None
    timeout_s: float = 30.0
    pause_s: float = 0.5

    def __post_init__(self) -> None:
        if self.mirror is not None and not self.mirror.startswith(("http://", "https://")):
            raise ParameterError(f"--mirror {self.mirror}: must start with http:// or https://")


def missing(known: KnownSet, folder: Path) -> list[RemoteFile]:
    """Return the files of *known* that are not in *folder* with their published size; MD5 sums are not checked."""
    return [file for file in known.files if not _has_size(folder / file.name, file.size)]


def fetch_set(
    known: KnownSet, folder: Path, options: FetchOptions | None = None, *, progress: Progress | None = None
) -> list[Path]:
    """Download the files of *known* that are not yet in *folder*; return the paths of all, in the order of the table.

    *progress* is called with the number of bytes that are there and their share of the total. Raises InputError and
    OutputError as :func:`fetch` does.
    """
    options = options or FetchOptions()
    total = sum(file.size for file in known.files)
    if wanted := missing(known, folder):
        there = total - sum(file.size - _part_size(folder, file) for file in wanted)
        begin_phase(progress, Phase("fetching", BYTE, count=there, share=there / total))
    paths, before = [], 0
    for file in known.files:

        def report(size: int, before: int = before) -> None:
            if progress:
                progress(before + size, min(1.0, (before + size) / total))

        paths.append(fetch(file, options.mirror or known.address, folder, options, progress=report))
        before += file.size
    return paths


def _part_size(folder: Path, file: RemoteFile) -> int:
    """Return how many bytes of *file* an earlier run has left in *folder*."""
    try:
        return min(file.size, (folder / f"{file.name}{_PART}").stat().st_size)
    except OSError:
        return 0


def fetch(
    file: RemoteFile,
    address: str,
    folder: Path,
    options: FetchOptions | None = None,
    *,
    progress: ByteProgress | None = None,
) -> Path:
    """Download *file* from below *address* to *folder* and return its path; do nothing if it is there and correct.

    The bytes are written to ``<name>.part``, which is locked, kept when the connection breaks, and resumed by the next
    call; it is renamed when its MD5 sum is correct. Raises InputError when the file cannot be downloaded or its sum is
    wrong, OutputError when the folder cannot be written or another process is downloading the file.
    """
    options = options or FetchOptions()
    target = folder / file.name
    with writing(target):
        folder.mkdir(parents=True, exist_ok=True)
        if _is_file(target, file):
            return target
    part = target.with_name(f"{file.name}{_PART}")
    with _locked(part) as lock:
        if not _is_file(target, file):  # it may have come before the lock
            _download(_Download(file, address.rstrip("/") + "/" + file.name, part, options, progress))
            if sys.platform == "win32":  # where an open file cannot be renamed
                lock.close()
            with writing(target):
                disk.replace(part, target)
        elif sys.platform != "win32":
            disk.remove(part)
    return target


class KeptFile(NamedTuple):
    """A file of the set *name* that an earlier download has left in the cache, and its size in bytes."""

    name: str
    path: Path
    nbytes: int


def kept_files(cache: Path) -> Iterator[KeptFile]:
    """Yield the files of all sets in the folder *cache*, unfinished ones too; whatever else lies there is left out."""
    for name, known in SETS.items():
        folder = cache / name
        if folder.is_symlink():  # to files that are kept elsewhere
            continue
        for file in dict.fromkeys((*known.files, *known.binary)):
            for path in (folder / file.name, folder / f"{file.name}{_PART}"):
                with contextlib.suppress(OSError):
                    status = path.lstat()
                    if stat.S_ISREG(status.st_mode) and (path.suffix == _PART or status.st_size == file.size):
                        yield KeptFile(name, path, status.st_size)


def remove_kept(file: KeptFile) -> None:
    """Remove *file*, and its folder if it is empty then.

    Raises OSError, for an unfinished file that another process is downloading BlockingIOError.
    """
    with contextlib.ExitStack() as stack:
        if file.path.suffix == _PART:
            lock = stack.enter_context(contextlib.closing(disk.open_output(file.path, locked=True)))
            if sys.platform == "win32":  # where an open file cannot be removed
                lock.close()
        disk.remove(file.path)
    with contextlib.suppress(OSError):
        file.path.parent.rmdir()


@contextlib.contextmanager
def _locked(part: Path) -> Iterator[disk.OutputStream]:
    with writing(part):
        try:
            stream = disk.open_output(part, locked=True)
        except BlockingIOError:
            raise OutputError("another im2rec is downloading it", path=part, hint=WAIT) from None
    with contextlib.closing(stream):
        yield stream


def _is_file(path: Path, file: RemoteFile) -> bool:
    return path.is_file() and md5_of(path) == file.md5


def _download(download: _Download) -> None:
    """Fill the partial download. Raises InputError if it is not the published file then."""
    download.fill()
    if not download.is_complete() and download.is_resumed:
        # The file on the server may have changed since the first part came: only one response can be a whole file.
        download.restart()
        download.fill()
    if not download.is_complete():
        found = md5_of(download.part)
        download.restart()
        problem = f"{download.url}: expected the MD5 sum {download.file.md5}, found {found}"
        raise InputError(problem, hint=f"it was removed: try again, {_OTHER_SOURCES}")


def md5_of(path: Path) -> str:
    """Return the MD5 sum of the file *path* in hexadecimal digits. Raises OSError."""
    sum_ = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            sum_.update(block)
    return sum_.hexdigest()


def _has_size(path: Path, size: int) -> bool:
    with writing(path):
        return path.is_file() and path.stat().st_size == size


class _Download:
    """The partial download ``<name>.part`` of one file.

    ``size`` is the number of bytes it has. ``is_resumed`` is True if they came in more than one response.
    """

    def __init__(
        self, file: RemoteFile, url: str, part: Path, options: FetchOptions, progress: ByteProgress | None
    ) -> None:
        self.file = file
        self.url = url
        self.part = part
        self.options = options
        self.progress = progress
        with writing(self.part):
            self.size = self.part.stat().st_size
        self.is_resumed = self.size > 0

    def is_complete(self) -> bool:
        """True if size and MD5 sum are those of the published file."""
        with writing(self.part):
            return self.size == self.file.size and md5_of(self.part) == self.file.md5

    def restart(self) -> None:
        """Delete the bytes of the partial download."""
        with writing(self.part):
            self.part.write_bytes(b"")
        self.size, self.is_resumed = 0, False

    def fill(self) -> None:
        """Send requests until the file has its full size. Raises InputError when no new bytes come."""
        fruitless, best, why = 0, self.size, ""
        for attempt in range(MAX_RESPONSES):
            if self.size >= self.file.size:
                return
            if attempt:
                time.sleep(self.options.pause_s)
            try:
                self._request()
                why = f"the server ends after {self.size:,} of {self.file.size:,} bytes"
            except (OSError, http.client.HTTPException, ValueError) as error:
                why = _describe_error(error)
            fruitless = 0 if self.size > best else fruitless + 1
            best = max(best, self.size)
            if fruitless == MAX_FRUITLESS:
                break
        if self.size < self.file.size:
            resumes = f", it resumes after {self.size:,} bytes" if self.size else ""
            self._fail(why, f"try again{resumes}; {_OTHER_SOURCES}")

    def _fail(self, why: str, hint: str) -> NoReturn:
        raise InputError(f"{self.url}: cannot be fetched: {why}", hint=hint)

    def _request(self) -> None:
        """Send one request, for the missing bytes, and write the response as it arrives.

        Raises OSError, HTTPException or ValueError when the response ends early or is not the one requested, InputError
        when another request would fail as well.
        """
        headers = {"User-Agent": "im2rec", "Accept-Encoding": "identity"}
        if self.size:
            headers["Range"] = f"bytes={self.size}-"
        request = urllib.request.Request(self.url, headers=headers)  # noqa: S310 - http or https: FetchOptions checks
        try:
            response = urllib.request.urlopen(request, timeout=self.options.timeout_s)  # noqa: S310 - as above
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == _RANGE_NOT_SATISFIABLE:  # the file on the server is shorter than the partial download
                self.restart()
            elif 400 <= error.code < 500 and error.code not in _RETRY_STATUSES:
                self._fail(_describe_error(error), f"try again later, {_OTHER_SOURCES}")
            raise
        with response:
            start = 0
            if response.status == http.client.PARTIAL_CONTENT:
                given = _RANGE.match(response.headers.get("Content-Range", ""))
                start = int(given[1]) if given else -1
            if start not in (0, self.size):
                self.restart()
                raise ValueError("the server sends another range than the one requested")
            with writing(self.part):
                part = self.part.open("r+b")
            with part:
                self._write(response, part, start)

    def _write(self, response: http.client.HTTPResponse, part: BinaryIO, start: int) -> None:
        """Write the body of *response* to *part* from the offset *start* on."""
        with writing(self.part):
            part.truncate(start)  # to nothing when the server ignores the range and sends the whole file
            part.seek(start)
        self.is_resumed = start > 0
        self.size = start
        # At most as many bytes as the file has. read1(), as read() would drop the bytes before a break.
        while (left := self.file.size - self.size) > 0 and (block := response.read1(min(_BLOCK_BYTES, left))):
            with writing(self.part):
                part.write(block)
                part.flush()
            self.size += len(block)
            if self.progress:
                self.progress(self.size)


def _describe_error(error: BaseException) -> str:
    """Return the reason of *error* in a few words."""
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}".rstrip()
    if isinstance(error, urllib.error.URLError):
        error = error.reason if isinstance(error.reason, BaseException) else error
    text = reason(error) if isinstance(error, OSError) else str(error)
    return text or type(error).__name__
