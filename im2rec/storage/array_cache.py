"""Arrays that are kept in the user's cache folder between runs, and read as memory maps.

An entry is a folder ``indexes/<key>`` in the cache folder. It holds one ``.npy`` for each array, and a header,
``entry.json``: the version, the files that the arrays were made from, each with its size and time of change, and for
each array its type, its length and a checksum. An entry is written under another name and renamed when it is complete.
One that is torn or damaged, or made from files that have changed since, is not used, and made again.

Many processes map the same arrays: the system holds them in memory once, however many processes are forked or spawned.
Nothing here raises an error where the cache cannot be used, as all that it holds can be made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from im2rec.folders import VARIABLE, usable_cache_folder
from im2rec.storage import disk

Arrays = dict[str, npt.NDArray[Any]]
T = TypeVar("T")

_LOG = logging.getLogger(__name__)
FOLDER = "indexes"
VERSION = 1
MIN_RECORDS = 1000  # of fewer records, an index and the headers are read in a few milliseconds
_HEADER = "entry.json"
_UNFINISHED = ".unfinished-"
_UNFINISHED_NAME = re.compile(rf"{re.escape(_UNFINISHED)}\d+-[0-9a-f]{{8}}")
_MAX_UNFINISHED_S = 24 * 3600.0  # an older one is of a process that was killed
_EXAMINED = 100  # entries that are examined for unused ones when another is kept, as there may be very many
_RECENT_NS = 2_000_000_000  # the coarsest clock of a file system in use, FAT, counts two seconds
_TICK_NS = 100_000_000  # of a file changed so recently, a further change may leave all times as they are
_SAMPLES, _SAMPLE_BYTES = 64, 16 << 10  # of a file that are summed; all of a smaller one


class Stamp(NamedTuple):
    """Size in bytes and times of a file, by which a change is noticed."""

    size: int
    modified_ns: int
    status_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """Return the stamp of a file with this *status*."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)

    def is_of(self, other: Stamp, *, strictly: bool) -> bool:
        """True if both are of the same content.

        Time of status and inode differ between copies of a file on several machines, so they are compared only
        *strictly*: where the time of change is too recent to be that of the last change.
        """
        return self == other if strictly else self[:2] == other[:2]


class Sources(NamedTuple):
    """The files that an entry is made from, each with its stamp, and *variant*, which tells entries of them apart."""

    variant: str
    files: tuple[tuple[str, Stamp], ...]

    @property
    def key(self) -> str:
        """Name of the entry: that of the first file, and a hash of all paths."""
        text = "\0".join([self.variant, *(path for path, _ in self.files)])
        name = re.sub(r"[^A-Za-z0-9-]", "_", Path(self.files[0][0]).stem[:40])  # as any disk gives them back
        return f"{name}-{hashlib.sha256(os.fsencode(text)).hexdigest()[:20]}"

    def are(self, others: Sources, *, strictly: bool = False) -> bool:
        """True if the *others* are the same files with the same content."""
        return [path for path, _ in self.files] == [path for path, _ in others.files] and all(
            stamp.is_of(other, strictly=strictly)
            for (_, stamp), (_, other) in zip(self.files, others.files, strict=True)
        )


class Entry(NamedTuple):
    """A loaded entry: *facts*, plain values as JSON has them, and read-only *arrays*, mapped from its *folder*."""

    folder: Path
    facts: dict[str, Any]
    arrays: Arrays


class Listed(NamedTuple):
    """An entry for a listing: what it was made from, and its size in bytes; *is_gone* if there is no such ``.rec``."""

    folder: Path
    variant: str
    paths: list[Path]
    records: int
    nbytes: int
    is_current: bool
    is_gone: bool


class Unfinished(NamedTuple):
    """An entry that is being written or removed, or *is_abandoned* by a process that was killed meanwhile."""

    folder: Path
    nbytes: int
    is_abandoned: bool


def stamp_of(path: str | os.PathLike[str]) -> Stamp | None:
    """Return the stamp of the file *path*, None if there is none."""
    try:
        return Stamp.of(os.stat(path))  # noqa: PTH116 - Path() would take longer than the call
    except OSError:
        return None


def load(sources: Sources, convert: Callable[[Entry], T]) -> T | None:
    """Return the entry made from *sources* as *convert* makes it, or None if there is no whole one."""
    folder = _folder()
    if folder is None:
        return None
    folder /= sources.key
    try:
        header = _read_header(folder)
        if header["version"] != VERSION or not _is_made_from(header, sources):
            return None
        arrays = {name: _mapped(folder / f"{name}.npy", *facts) for name, facts in header["arrays"].items()}
        return convert(Entry(folder, dict(header["facts"]), arrays))
    except FileNotFoundError:
        return None
    except Exception as error:  # noqa: BLE001 - a file with any content may lie there
        _LOG.info("%s: is damaged, and is made again: %s", folder, error)
        return None


def _folder() -> Path | None:
    cache = usable_cache_folder()
    return None if cache is None else cache / FOLDER


def _encode_header(header: Mapping[str, Any]) -> bytes:
    """Return *header* as JSON, and in a second line its checksum."""
    text = json.dumps(header).encode()
    return text + b"\n%08x\n" % zlib.crc32(text)


def _read_header(folder: Path) -> dict[str, Any]:
    """Return the header of the entry in *folder*. Raises OSError, ValueError for any other file."""
    text, _, checksum = (folder / _HEADER).read_bytes().partition(b"\n")
    if checksum != b"%08x\n" % zlib.crc32(text):
        raise ValueError(f"{_HEADER} is damaged")
    return dict(json.loads(text))


def _sources(header: Mapping[str, Any]) -> Sources:
    """Return the sources of an entry by its *header*. Raises KeyError, TypeError, ValueError for another file."""
    return Sources(header["variant"], tuple((str(path), Stamp(*map(int, stamp))) for path, stamp in header["files"]))


def _is_made_from(header: Mapping[str, Any], sources: Sources) -> bool:
    made_from = _sources(header)
    return made_from.variant == sources.variant and made_from.are(sources, strictly=header["is_strict"])


def _mapped(path: Path, dtype: str, length: int, checksum: int) -> npt.NDArray[Any]:
    """Return the array in the file *path* as a read-only memory map. Raises OSError, ValueError if it is another."""
    # np.memmap takes a microsecond for each element that is read; a plain array over the same memory does not.
    array = np.asarray(np.load(path, mmap_mode="r" if length else None, allow_pickle=False))
    if array.dtype.str != dtype or array.shape != (length,) or _checksum(path) != checksum:
        raise ValueError(f"{path.name} is another array")
    array.flags.writeable = False
    return array


def _checksum(path: Path) -> int:
    """Return a checksum of a file: of all bytes, or of blocks spread over a larger one, its first and last included.

    Reading all of a large one would take longer than making it again takes for a small one. The blocks are not read
    through the memory map, as each would then bring up to 2 MiB around it into the memory of the process.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= _SAMPLES * _SAMPLE_BYTES:
            return zlib.crc32(file.read())
        checksum = 0
        for number in range(_SAMPLES):
            file.seek((size - _SAMPLE_BYTES) * number // (_SAMPLES - 1))
            checksum = zlib.crc32(file.read(_SAMPLE_BYTES), checksum)
        return checksum


def store(
    sources: Sources, records: int, content: Callable[[], tuple[dict[str, Any], Arrays]], convert: Callable[[Entry], T]
) -> T | None:
    """Keep what was made from *sources*, and return it as :func:`load` does; None if nothing is kept.

    *content* returns it: facts, which are values that JSON can store, and one-dimensional arrays. It is only called if
    they can be kept. *records* is the number of records that they describe: few are not kept. Nothing is kept either if
    a file has changed since its stamp was taken, or a tenth of a second before now.
    """
    folder = _folder()
    if folder is None or records < MIN_RECORDS:
        return None
    if any((now := stamp_of(path)) is None or not now.is_of(stamp, strictly=True) for path, stamp in sources.files):
        return None
    age_ns = time.time_ns() - max(stamp.modified_ns for _, stamp in sources.files)
    if 0 <= age_ns < _TICK_NS:
        return None
    facts, arrays = content()
    header: dict[str, Any] = {
        "version": VERSION,
        "variant": sources.variant,
        "records": records,
        "files": [[path, list(stamp)] for path, stamp in sources.files],
        "is_strict": age_ns < _RECENT_NS,
        "facts": facts,
    }
    aside = _aside(folder)
    try:
        # Paths and labels are nobody else's business, unless someone has chosen the folder to share it.
        folder.mkdir(mode=0o777 if os.environ.get(VARIABLE) else 0o700, parents=True, exist_ok=True)
        aside.mkdir()
        for name, array in arrays.items():
            with _synced(aside / f"{name}.npy") as file:
                np.save(file, array, allow_pickle=False)
        checksums = {name: _checksum(aside / f"{name}.npy") for name in arrays}
        header["arrays"] = {name: [array.dtype.str, len(array), checksums[name]] for name, array in arrays.items()}
        with _synced(aside / _HEADER) as file:
            file.write(_encode_header(header))
        _rename(aside, folder / sources.key)
    except OSError as error:
        _LOG.info("%s: nothing is kept there: %s", folder, error)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    _remove_unused(folder)
    return load(sources, convert)  # after an error, what another process may have kept meanwhile


@contextlib.contextmanager
def _synced(path: Path) -> Iterator[BinaryIO]:
    """Give a new file *path* that is on the disk after the block."""
    with path.open("xb") as file:
        yield file
        file.flush()
        disk.sync(file)


def _aside(folder: Path) -> Path:
    """Return a new path for an entry that is being written or removed."""
    return folder / f"{_UNFINISHED}{os.getpid()}-{os.urandom(4).hex()}"


def _rename(aside: Path, target: Path) -> None:
    """Rename the folder *aside* to *target*, in place of an entry of that name. Raises OSError."""
    old = _aside(aside.parent)
    with contextlib.suppress(FileNotFoundError):
        target.rename(old)  # whoever has mapped its arrays keeps them
    try:
        aside.rename(target)  # if another process made it meanwhile, this one fails, and that one is used
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _remove_unused(folder: Path) -> None:
    """Remove what killed processes have left, and entries of files that are gone."""
    entries = _folders(folder)
    if len(entries) > _EXAMINED:  # others each time, so that all have their turn
        start = int.from_bytes(os.urandom(4), "little") % len(entries)
        entries = (entries[start:] + entries[:start])[:_EXAMINED]
    for entry in entries:
        with contextlib.suppress(OSError):
            if _UNFINISHED_NAME.fullmatch(entry.name):
                if _is_abandoned(entry):
                    shutil.rmtree(entry)
            # A disk that is not mounted may come back.
            elif (found := _listed(entry)) is not None and found.is_gone and found.paths[0].parent.is_dir():
                remove(found)


def _is_abandoned(folder: Path) -> bool:
    return time.time() - folder.stat().st_mtime > _MAX_UNFINISHED_S


def _is_gone(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # one that may not be examined
        pass
    return False


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as found:
            return sorted(Path(entry.path) for entry in found if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def listed(cache: Path) -> Iterator[Listed]:
    """Yield the entries in the folder *cache*, by name; whatever else lies there is left out."""
    for folder in _folders(cache / FOLDER):
        if not folder.name.startswith(_UNFINISHED) and (found := _listed(folder)) is not None:
            yield found


def unfinished(cache: Path) -> Iterator[Unfinished]:
    """Yield the unfinished entries in the folder *cache*, by name."""
    for folder in _folders(cache / FOLDER):
        if _UNFINISHED_NAME.fullmatch(folder.name):
            with contextlib.suppress(OSError):
                yield Unfinished(folder, _nbytes(folder), _is_abandoned(folder))


def _nbytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _listed(folder: Path) -> Listed | None:
    """Return the entry in *folder*; None for a folder without a header, or with one that does not give its name."""
    try:
        header = _read_header(folder)
        sources, records = _sources(header), int(header["records"])
        if folder.name != sources.key:
            return None
        now = tuple((path, stamp) for path, _ in sources.files if (stamp := stamp_of(path)) is not None)
        is_current = header["version"] == VERSION and _is_made_from(header, sources._replace(files=now))
        paths = [Path(path) for path, _ in sources.files]
        return Listed(folder, sources.variant, paths, records, _nbytes(folder), is_current, _is_gone(paths[0]))
    except Exception:  # noqa: BLE001 - as in load()
        return None


def remove(entry: Listed | Unfinished) -> None:
    """Remove *entry*, if it is there still. Raises OSError.

    Processes that have mapped its arrays keep them; on Windows, where they keep the files, PermissionError is raised.
    It gets another name first, so that another process finds all of it or nothing.
    """
    folder = entry.folder
    with contextlib.suppress(FileNotFoundError):
        if isinstance(entry, Listed):
            folder = _aside(folder.parent)
            entry.folder.rename(folder)
        shutil.rmtree(folder)
