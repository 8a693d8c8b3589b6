"""Fetch a published file into the folder of downloads.

What has arrived is kept when a download breaks off, and a file gets its name only when its MD5 sum is right.
"""

from __future__ import annotations

import dataclasses
import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NoReturn

from im2rec.datasets.sets import KnownSet, RemoteFile
from im2rec.errors import InputError, ParameterError
from im2rec.storage.files import reason, writing

MOST_FRUITLESS = 3  # answers in a row that bring nothing new
MOST_ANSWERS = 20
_BLOCK_BYTES = 1 << 16
_TRY_AGAIN = (408, 429)  # of the answers 4xx: too slow, too often
_NOT_THERE = 416  # the range that was asked for
_RANGE = re.compile(r"bytes (\d+)-")
_OTHERS = "or name a server with --mirror, or files with --from"
ByteProgress = Callable[[int], None]


@dataclasses.dataclass(frozen=True)
class FetchOptions:
    """How to fetch: from *mirror* instead of the published address; *timeout_s* is that of a single read."""

    mirror: str | None = None
    timeout_s: float = 30.0
    pause_s: float = 0.5  # before an answer is asked for again

    def __post_init__(self) -> None:
        if self.mirror is not None and not self.mirror.startswith(("http://", "https://")):
            raise ParameterError(f"--mirror {self.mirror}: must start with http:// or https://")


def missing(known: KnownSet, folder: Path) -> list[RemoteFile]:
    """The files of *known* that are not in *folder*, judged by their sizes."""
    return [file for file in known.files if not _has_size(folder / file.name, file.size)]


def fetch_set(
    known: KnownSet,
    folder: Path,
    options: FetchOptions | None = None,
    *,
    progress: Callable[[int, float], None] | None = None,
) -> list[Path]:
    """The files of *known* in *folder*, fetched where they are not there yet; in the order of the table.

    *progress* is called with the bytes that are there and their share of all. Raises as :func:`fetch`.
    """
    options = options or FetchOptions()
    total = sum(file.size for file in known.files)
    paths, before = [], 0
    for file in known.files:

        def report(size: int, before: int = before) -> None:
            if progress:
                progress(before + size, min(1.0, (before + size) / total))

        paths.append(fetch(file, options.mirror or known.address, folder, options, progress=report))
        before += file.size
    return paths


def fetch(
    file: RemoteFile,
    address: str,
    folder: Path,
    options: FetchOptions | None = None,
    *,
    progress: ByteProgress | None = None,
) -> Path:
    """*file*, from below *address*, in *folder*; when it is there already, with the right sum, it is not fetched again.

    It is written to ``<name>.part``, which stays when the connection breaks and where the next call goes on, and gets
    its name when its MD5 sum is right. Raises InputError, and OutputError for the folder.
    """
    options = options or FetchOptions()
    target = folder / file.name
    with writing(target):
        folder.mkdir(parents=True, exist_ok=True)
        if target.is_file() and md5_of(target) == file.md5:
            return target
    download = _Download(file, address.rstrip("/") + "/" + file.name, folder, options, progress)
    download.fill()
    if not download.whole() and download.pieced:
        # Pieces of two files, when the one on the server has changed: that is told by fetching it in one piece.
        download.restart()
        download.fill()
    if not download.whole():
        found = md5_of(download.part)
        download.restart()
        problem = f"{download.url}: expected the MD5 sum {file.md5}, found {found}"
        raise InputError(problem, hint=f"it was removed: try again, {_OTHERS}")
    with writing(target):
        download.part.replace(target)
    return target


def md5_of(path: Path) -> str:
    """The MD5 sum of the file *path*, as hexadecimal digits. Raises OSError."""
    sum_ = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            sum_.update(block)
    return sum_.hexdigest()


def _has_size(path: Path, size: int) -> bool:
    with writing(path):
        return path.is_file() and path.stat().st_size == size


class _Download:
    """A ``.part`` file on its way to be whole."""

    def __init__(
        self, file: RemoteFile, url: str, folder: Path, options: FetchOptions, progress: ByteProgress | None
    ) -> None:
        self.file = file
        self.url = url
        self.part = folder / f"{file.name}.part"
        self.options = options
        self.progress = progress
        with writing(self.part):
            self.part.touch()
            self.size = self.part.stat().st_size
        self.pieced = self.size > 0  # whether the bytes came in more than one answer

    def whole(self) -> bool:
        """Whether what has come is the file."""
        with writing(self.part):
            return self.size == self.file.size and md5_of(self.part) == self.file.md5

    def restart(self) -> None:
        """Forget what has come."""
        with writing(self.part):
            self.part.write_bytes(b"")
        self.size, self.pieced = 0, False

    def fill(self) -> None:
        """Ask until as many bytes have come as the file has. Raises InputError when nothing more comes."""
        fruitless, best, why = 0, self.size, ""
        for answer in range(MOST_ANSWERS):
            if self.size >= self.file.size:
                return
            if answer:
                time.sleep(self.options.pause_s)
            try:
                self._ask()
                why = f"the server ends after {self.size:,} of {self.file.size:,} bytes"
            except (OSError, http.client.HTTPException, ValueError) as error:
                why = _why(error)
            fruitless = 0 if self.size > best else fruitless + 1
            best = max(best, self.size)
            if fruitless == MOST_FRUITLESS:
                break
        if self.size < self.file.size:
            goes_on = f", it goes on behind {self.size:,} bytes" if self.size else ""
            self._fail(why, f"try again{goes_on}; {_OTHERS}")

    def _fail(self, why: str, hint: str) -> NoReturn:
        raise InputError(f"{self.url}: cannot be fetched: {why}", hint=hint)

    def _ask(self) -> None:
        """One answer of the server, written down as it comes. Raises what breaks it off."""
        headers = {"User-Agent": "im2rec", "Accept-Encoding": "identity"}
        if self.size:
            headers["Range"] = f"bytes={self.size}-"
        request = urllib.request.Request(self.url, headers=headers)  # noqa: S310 - http or https: FetchOptions checks
        try:
            response = urllib.request.urlopen(request, timeout=self.options.timeout_s)  # noqa: S310 - as above
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == _NOT_THERE:  # the file on the server is shorter than the piece that is here
                self.restart()
            elif 400 <= error.code < 500 and error.code not in _TRY_AGAIN:
                self._fail(_why(error), f"try again later, {_OTHERS}")
            raise
        with response:
            start = 0
            if response.status == http.client.PARTIAL_CONTENT:
                given = _RANGE.match(response.headers.get("Content-Range", ""))
                start = int(given[1]) if given else -1
            if start not in (0, self.size):
                self.restart()
                raise ValueError("the server sends another range than it was asked for")
            with writing(self.part):
                part = self.part.open("r+b")
            with part:
                self._write(response, part, start)

    def _write(self, response: http.client.HTTPResponse, part: BinaryIO, start: int) -> None:
        with writing(self.part):
            part.truncate(start)  # all of it, when the server knows no ranges
            part.seek(start)
        self.pieced = start > 0
        self.size = start
        # Never more than the file has; and not read(), which would keep the bytes before a break to itself.
        while (left := self.file.size - self.size) > 0 and (block := response.read1(min(_BLOCK_BYTES, left))):
            with writing(self.part):
                part.write(block)
                part.flush()
            self.size += len(block)
            if self.progress:
                self.progress(self.size)


def _why(error: BaseException) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}".rstrip()
    if isinstance(error, urllib.error.URLError):
        error = error.reason if isinstance(error.reason, BaseException) else error
    said = reason(error) if isinstance(error, OSError) else str(error)
    return said or type(error).__name__
