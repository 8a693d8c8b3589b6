"""The parts of one pack: found by the words of a command, compared with one another, and put in order."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from im2rec.errors import CorruptRecordError, InputError, OutputError
from im2rec.packing.identity import differences
from im2rec.packing.part_file import PartInfo, part_file_path, read_part_file, size_and_hash, size_of
from im2rec.packing.report import report_path
from im2rec.storage.companions import find_index, index_to_write
from im2rec.storage.files import PathLike, reading
from im2rec.storage.journal import journal_path
from im2rec.storage.output import partial_path, writing

# What `out.rec.part*` matches too: the files beside the parts, and what a run that writes them has.
_OF_PART = re.compile(r"(?s)(.+\.part\d{3,})((\.(idx|json|digest|bad\.jsonl|im2rec-partial|im2rec-journal))*)")
_NOT_KEYS = ("root", "libraries")  # each machine may have the images in another folder
_SHOWN = 200  # characters of a difference in a message
_FEW = 3  # parts are named one by one
_ONE_AGAIN = "pack one of the two again"
_PACK_AGAIN = "pack it again, or fetch it again"


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of a pack: its ``.rec`` and the content of its part file."""

    rec: Path
    info: PartInfo

    @property
    def keys(self) -> dict[str, Any]:
        """What the parts of one pack have in common, but for the libraries."""
        return {name: value for name, value in self.info.identity.items() if name not in _NOT_KEYS}

    @property
    def libraries(self) -> dict[str, Any]:
        """Versions of the libraries by name; empty where none were needed."""
        found = self.info.identity.get("libraries")
        return found if isinstance(found, dict) else {}

    @property
    def index(self) -> Path:
        """Path of its index, also where there is none."""
        return find_index(self.rec) or index_to_write(self.rec)

    @property
    def report(self) -> Path | None:
        """Path of its report of bad images; None if there are none."""
        return report_path(self.rec) if self.info.bad else None

    @property
    def files(self) -> list[Path]:
        """All its files."""
        return [self.rec, self.index, part_file_path(self.rec), *([self.report] if self.report else [])]


def part_of(path: PathLike) -> Path | None:
    """Return the path of the part that the file *path* belongs to by its name, as ``out.rec.part000.idx`` does.

    A part belongs to itself. None for the name of another file.
    """
    path = Path(path)
    match = _OF_PART.fullmatch(path.name)
    return path.with_name(match[1]) if match else None


def pattern_of_parts(rec: PathLike) -> str:
    """Return the pattern, as :func:`read_parts` takes it, of all parts of the pack of which *rec* is one."""
    return re.sub(r"\d+$", "*", glob.escape(os.fspath(rec)))


def read_parts(words: Iterable[PathLike]) -> list[Part]:
    """Return the parts that *words* name, in their order in the list; they are all parts of one pack.

    A word is the path of a part, of a file beside it, or a pattern of these such as ``out.rec.part*``. Raises
    InputError for a part that is missing, of another pack, or there twice, and for one that is not finished.
    """
    parts = [Part(rec, _info_of(rec)) for rec in _named_parts(words)]
    if not parts:
        raise InputError("no parts are named", hint="name the files that 'im2rec pack' with nsplit= wrote")
    _check_same_pack(parts)
    parts.sort(key=lambda part: part.info.part)
    _check_complete(parts)
    return parts


def _named_parts(words: Iterable[PathLike]) -> list[Path]:
    """Return the parts that *words* name, each as often as it is named itself, or once where a file beside it is."""
    parts: list[Path] = []
    of_other_files: dict[Path, None] = {}
    for path in _expanded(words):
        part = part_of(path)
        if part is None or part == path:
            parts.append(path)
        else:
            of_other_files[part] = None
    named = set(parts)
    return parts + [part for part in of_other_files if part not in named]


def _expanded(words: Iterable[PathLike]) -> Iterator[Path]:
    """Yield the paths that *words* mean: shells of Windows leave patterns to the program."""
    for word in words:
        name = os.fspath(word)
        found = [] if os.path.lexists(name) or not glob.has_magic(name) else sorted(glob.glob(name))  # noqa: PTH207
        yield from map(Path, found or [name])


def _info_of(rec: Path) -> PartInfo:
    """Read the part file of *rec*. Raises InputError, with what to do where there is none."""
    path = part_file_path(rec)
    if os.path.lexists(path):
        return read_part_file(path)
    if any(os.path.lexists(unfinished) for unfinished in (partial_path(rec), journal_path(rec))):
        raise InputError("is not packed to its end", path=rec, hint="type the command that packs it again")
    size_of(rec)  # raises the better error if it is missing, or a folder
    problem = f"is no finished part of a pack: {path.name} is not beside it"
    raise InputError(problem, path=rec, hint="copy that file too; a part of another tool, pack again")


def _check_same_pack(parts: Sequence[Part]) -> None:
    """Raise InputError, with the first difference, if one of *parts* is of another pack than the first one."""
    first = parts[0]
    # A part that is empty, or that is stored unchanged, needed no libraries.
    with_libraries = [part for part in parts if part.libraries]
    for part in parts[1:]:
        if part.info.nsplit != first.info.nsplit:
            problem = f"is one of {part.info.nsplit} parts, and {first.rec} one of {first.info.nsplit}"
            raise InputError(problem, path=part.rec, hint="all parts must be packed with the same nsplit")
        if part.info.identity.get("list") != first.info.identity.get("list"):
            raise InputError(f"is of another list than {first.rec}", path=part.rec, hint=_ONE_AGAIN)
        _refuse_difference(first, part, differences(part.keys, first.keys))
    for part in with_libraries[1:]:
        _refuse_difference(with_libraries[0], part, differences(part.libraries, with_libraries[0].libraries))


def _refuse_difference(first: Part, other: Part, found: Iterator[str]) -> None:
    if (difference := next(found, None)) is not None:
        shown = difference if len(difference) <= _SHOWN else f"{difference[:_SHOWN]}..."
        raise InputError(f"was packed with {shown} as {first.rec}", path=other.rec, hint=_ONE_AGAIN)


def _check_complete(parts: Sequence[Part]) -> None:
    """Raise InputError unless *parts*, by rising number, are all parts of their pack, each once."""
    total = parts[0].info.nsplit
    for one, other in zip(parts, parts[1:]):  # noqa: B905, RUF007 - neighbours
        if one.info.part == other.info.part:
            is_same = one.rec == other.rec
            problem = f"part {one.info.part} of {total} is named twice: {one.rec}"
            raise InputError(problem + ("" if is_same else f" and {other.rec}"), hint="name it once")
    if len(parts) == total:
        return
    present, count = {part.info.part for part in parts}, total - len(parts)
    missing = [number for number in range(min(total, len(parts) + _FEW)) if number not in present][:_FEW]
    first = os.fspath(parts[0].rec)
    name = re.sub(r"\.part\d+$", f".part{missing[0]:03d}", first)
    where = "" if name == first else f": {name}" if count == 1 else f": {name} for one"
    hint = "name it too" if where and os.path.lexists(name) else f"pack it with part={missing[0]}, or copy it here"
    raise InputError(f"{_numbers(missing, count, total)} missing{where}", hint=hint)


def _numbers(some: Sequence[int], count: int, total: int) -> str:
    """Return the numbers of *count* parts in words, all or the first of which are *some*: ``part 2 of 4 is``."""
    if count == 1:
        return f"part {some[0]} of {total} is"
    *others, last = [*map(str, some), *([f"{count - len(some):,} more"] if count > len(some) else [])]
    return f"parts {', '.join(others)} and {last} of {total} are"


def check_files(part: Part) -> None:
    """Check by sizes, and by the hash of the index, that the files of *part* are those that its part file is of.

    Raises InputError, and CorruptRecordError if the ``.rec`` was cut short.
    """
    info = part.info
    size = size_of(part.rec)
    if size < info.rec_bytes:
        problem = f"was cut short: it had {info.rec_bytes:,} bytes when it was packed"
        error = CorruptRecordError(problem, offset=size, hint=_PACK_AGAIN)
        error.path = part.rec
        raise error
    if size > info.rec_bytes:
        problem = f"has {size:,} bytes, and had {info.rec_bytes:,} when it was packed"
        raise InputError(problem, path=part.rec, hint=_PACK_AGAIN)
    if size_and_hash(part.index) != (info.index_bytes, info.index_sha256):
        hint = f"{_PACK_AGAIN}; if the .rec is right, 'im2rec index {part.rec} --force' makes its index anew"
        raise InputError(f"is not the index that was written with {part.rec}", path=part.index, hint=hint)
    if part.report is not None and size_of(part.report) != info.report_bytes:
        problem = f"is not the report of bad images that was written with {part.rec}"
        raise InputError(problem, path=part.report, hint=_PACK_AGAIN)


def refuse_part_files(outputs: Iterable[Path], parts: Iterable[Part]) -> None:
    """Raise OutputError if one of *outputs* is a file of one of *parts*, by another name too."""
    existing: dict[tuple[int, int], Path] = {}
    for path in outputs:
        with writing(path), contextlib.suppress(FileNotFoundError):
            status = path.stat()
            existing[status.st_dev, status.st_ino] = path
    if not existing:
        return
    for file in (file for part in parts for file in part.files):
        with reading(file):
            status = file.stat()
        if (clash := existing.get((status.st_dev, status.st_ino))) is not None:
            hint = "choose another name for the output"
            raise OutputError(f"is a file of one of the parts, {file}", path=clash, hint=hint)
