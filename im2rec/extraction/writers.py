"""Images on their way out of a ``.rec``: read in bounded batches, named, and written to folders or tar shards.

Folders are those of the classes, with a list that packs the images again. In tar shards the files of one sample share
a name up to the first dot, as WebDataset reads them.

Source: torchdata 0.6, ``torchdata.datapipes.iter.WebDataset``.
"""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import PureWindowsPath
from typing import BinaryIO, NamedTuple

import numpy as np

from im2rec.errors import InputError
from im2rec.extraction.resumable_folder import ASIDE, MARKER, ExtractionProgress, ResumableFolder
from im2rec.extraction.selection import Ordinals, ScannedFile, SelectedRecords, label_text, lost_as_text, short_float
from im2rec.format.irheader import ImageRecord, Labels
from im2rec.format.listfile import is_listable, list_line
from im2rec.images.codec import EMPTY, NOT_AN_IMAGE, sniff
from im2rec.storage.files import Closeable, PathLike, read_classes, sync_and_close

BATCH_RECORDS = 1000  # as many are done again, at worst, after a kill
BATCH_BYTES = 8 << 20  # of records in memory at once; a single larger one is read alone
NO_EXTENSION = ".bin"
EXTENSIONS = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "BMP": ".bmp",
    "GIF": ".gif",
    "WebP": ".webp",
    "TIFF": ".tiff",
    "JPEG 2000": ".jp2",
    "AVIF": ".avif",
    "PPM": ".ppm",
}


class Sample(NamedTuple):
    """An image: the record it comes from, its id (*doubled*: another one has it too), labels, and bytes.

    *vector* says that the labels were stored behind the header, *kind* what the content starts like.
    """

    ordinal: int
    id: int
    doubled: bool
    labels: tuple[float, ...]
    vector: bool
    lost_bits: bool
    content: bytes
    kind: str

    @property
    def is_image(self) -> bool:
        """Whether the content starts like an image."""
        return self.kind not in (NOT_AN_IMAGE, EMPTY)

    @property
    def extension(self) -> str:
        """The suffix that goes with the content."""
        return EXTENSIONS.get(self.kind, NO_EXTENSION)

    def name(self, digits: int = 1) -> str:
        """The id in at least *digits* digits; a doubled one with the record's ordinal behind it."""
        return f"{self.id:0{digits}d}" + (f"-{self.ordinal}" if self.doubled else "")


class Writer(Closeable):
    """What takes samples, in order: :meth:`add` each, :meth:`pause` after some, :meth:`finish`; ``close()`` always.

    ``done`` counts them, and is journalled in *place* whenever everything counted can be relied on.
    """

    def __init__(self, place: ResumableFolder) -> None:
        self.place = place
        self.done: ExtractionProgress = place.done

    def add(self, sample: Sample) -> None:
        """Write *sample*. Raises OutputError."""
        self.done.records += 1
        self.done.bytes += len(sample.content)
        self.done.not_images += not sample.is_image
        self.done.lost_bits += sample.lost_bits

    def pause(self) -> None:
        """Note in the journal what is written, if it is a place to go on from."""

    def finish(self) -> None:
        """Bring to the disk what is still open."""


def read_samples(rec: ScannedFile, chosen: SelectedRecords, start: int) -> Iterator[list[Sample]]:
    """The chosen images from number *start* on, a bounded batch at a time. Raises CorruptRecordError."""
    while start < len(chosen.ordinals):
        ordinals = _batch(rec, chosen.ordinals[start : start + BATCH_RECORDS]).tolist()
        doubled = chosen.doubled[start : start + len(ordinals)].tolist()
        yield list(map(_sample, ordinals, rec.read_many(ordinals), doubled))
        start += len(ordinals)


def _batch(rec: ScannedFile, ordinals: Ordinals) -> Ordinals:
    """As many of *ordinals* as fit in memory, at least one."""
    fitting = int(np.searchsorted(np.cumsum(rec.sizes(ordinals)), BATCH_BYTES, side="right"))
    return ordinals[: max(1, fitting)]


def _sample(ordinal: int, record: ImageRecord, doubled: bool) -> Sample:
    header, content = record
    vector = header.flag > 0
    labels = tuple(map(short_float, header.label.tolist() if vector else [header.label]))
    # Of a single label the header's scan has told already.
    lost_bits = header.flag > 1 and bool(lost_as_text(header.label.view(np.uint32)).any())
    return Sample(ordinal, header.id, doubled, labels, vector, lost_bits, content, sniff(content))


_WINDOWS_REFUSES = frozenset('<>:"|?*\\').union(map(chr, range(32)))
_WINDOWS_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


class FolderWriter(Writer):
    """``<label>/<id>.<ext>`` below *place*, and the list *list_name* of all that are images, in file order.

    *folders* gives the folder of each label; None takes the labels themselves.
    """

    def __init__(self, place: ResumableFolder, list_name: str, folders: Sequence[str] | None = None) -> None:
        super().__init__(place)
        self.folders = folders
        self._list = place.reopen(list_name, self.done.list_bytes)

    def add(self, sample: Sample) -> None:
        """Write the file and its line; something that is no image gets no line, as nothing packs it."""
        label = sample.labels[0]
        folder = label_text(label) if self.folders is None else self.folders[int(label)]
        path = f"{folder}/{sample.name()}{sample.extension}".removeprefix("/")
        self.place.write(path, sample.content)
        if sample.is_image:
            line = list_line(sample.id, sample.labels, path).encode("utf-8", "surrogateescape")
            self.done.list_bytes += len(line)
            with self.place.writing():
                self._list.write(line)
        super().add(sample)

    def pause(self) -> None:
        """Journal what is written: a batch more."""
        with self.place.writing():
            self._list.flush()
        self.place.save()

    def finish(self) -> None:
        """Bring the list to the disk; the images are left to the system, as any copy leaves them."""
        with self.place.writing():
            sync_and_close(self._list)

    def close(self) -> None:
        """Close the list; again is fine."""
        with self.place.writing():
            self._list.close()


def class_folders(path: PathLike, list_name: str) -> list[str]:
    """The folders of a ``.classes.txt``, in order of their labels; ``""`` for ``.``.

    Raises InputError for a name that leads out of the folder they are made in, or that no list or system takes.
    """
    folders = []
    for line, name in enumerate(read_classes(path), 1):
        problem = _unfit(name, {MARKER, ASIDE, list_name})
        if problem:
            place = f"{os.fspath(path)}, line {line}"
            raise InputError(f"{place}: the class {name!r} {problem}", hint="name a folder inside DIR")
        folders.append("/".join(part for part in name.split("/") if part not in ("", ".")))
    return folders


def _unfit(name: str, taken: set[str]) -> str:
    """Why *name* cannot be a folder of images, or an empty text."""
    # As Windows reads it, on every system: what is extracted here may be copied there.
    windows = PureWindowsPath(name)
    first = windows.parts[0].casefold() if windows.parts else ""
    problems = {
        "is an absolute path or names a drive": bool(windows.anchor),
        "leads out by '..'": ".." in windows.parts,
        "holds a NUL": "\0" in name,
        "cannot stand in a list (a TAB, a line break, or a blank at its start)": not is_listable(f"{name}/0"),
        "is the name of a file that is written there": first in {other.casefold() for other in taken},
        "holds what Windows takes in no name": os.name == "nt" and not all(map(_windows_takes, name.split("/"))),
    }
    return next((problem for problem, found in problems.items() if found), "")


def _windows_takes(part: str) -> bool:
    if part in ("", "."):
        return True
    device = part.partition(".")[0].rstrip(" ").lower() in _WINDOWS_DEVICES
    return not device and not _WINDOWS_REFUSES.intersection(part) and not part.endswith((" ", "."))


def check_listed(labels: Labels, folders: Sequence[str], path: PathLike) -> None:
    """Raise InputError for the first of *labels* that has no line in the ``.classes.txt`` at *path*."""
    for label in np.unique(labels).tolist():
        if not (label.is_integer() and 0 <= label < len(folders)):
            problem = f"{os.fspath(path)}: has no line for the label {label_text(label)}"
            raise InputError(problem, hint=f"it holds {len(folders)}; line 1 is label 0")


KEY_DIGITS = 9  # so that the shards' samples sort like their ids, as far as these go
MB = 1_000_000
_BLOCK, _RECORD = tarfile.BLOCKSIZE, tarfile.RECORDSIZE
_HEADER = tarfile.TarInfo("").tobuf(tarfile.USTAR_FORMAT)  # mode 0644; no owner and no time, so that the bytes repeat
_NAME, _SIZE, _CHECKSUM = 0, 124, 148  # where these fields stand in it
_HEADER_SUM = int(_HEADER[_CHECKSUM : _CHECKSUM + 6], 8)


class ShardWriter(Writer):
    """``<stem>-000000.tar`` and on, each at most *limit* bytes long unless a single sample is longer.

    A sample is ``<key>.<ext>``, ``<key>.cls`` (the first label) and, when labels are a vector, ``<key>.json`` with
    all of them; the key is the id. The same samples give the same bytes.
    """

    def __init__(self, place: ResumableFolder, stem: str, limit: int) -> None:
        super().__init__(place)
        self.stem = stem
        self.limit = limit
        self._shard: BinaryIO | None = None
        self._size = 0

    def add(self, sample: Sample) -> None:
        """Append the sample's files, to a new shard where the one before would grow too long."""
        pieces = sample_pieces(sample)
        size = sum(map(len, pieces))
        if self._shard is not None and _finished_size(self._size + size) > self.limit:
            self._end_shard()
        if self._shard is None:
            self._shard, self._size = self.place.create(shard_name(self.stem, self.done.shards)), 0
        with self.place.writing():
            self._shard.writelines(pieces)
        self._size += size
        super().add(sample)

    def finish(self) -> None:
        """End the last shard."""
        if self._shard is not None:
            self._end_shard()

    def _end_shard(self) -> None:
        assert self._shard is not None
        with self.place.writing():
            self._shard.write(bytes(_finished_size(self._size) - self._size))
            sync_and_close(self._shard)
        self._shard = None
        self.done.shards += 1
        self.place.save()

    def close(self) -> None:
        """Close a shard that is not finished; again is fine."""
        if self._shard is not None:
            with self.place.writing():
                self._shard.close()


def shard_name(stem: str, number: int) -> str:
    """The file name of a shard."""
    return f"{stem}-{number:06d}.tar"


def sample_pieces(sample: Sample) -> list[bytes]:
    """The bytes of a sample's files in a tar, headers and padding included."""
    key = sample.name(KEY_DIGITS)
    files = {sample.extension: sample.content, ".cls": label_text(sample.labels[0]).encode()}
    if sample.vector:
        files[".json"] = json.dumps({"id": sample.id, "labels": sample.labels}).encode()
    return [piece for suffix, content in files.items() for piece in _member(key + suffix, content)]


def _member(name: str, content: bytes) -> tuple[bytes, bytes, bytes]:
    """The header, content and padding that ``tarfile`` writes; its own way to a header takes ten times as long."""
    named, size = name.encode("ascii"), b"%011o" % len(content)
    header = bytearray(_HEADER)
    header[_NAME : _NAME + len(named)] = named
    header[_SIZE : _SIZE + len(size)] = size
    header[_CHECKSUM : _CHECKSUM + 6] = b"%06o" % (_HEADER_SUM + sum(named) + sum(size) - sum(b"0" * len(size)))
    return bytes(header), content, bytes(-len(content) % _BLOCK)


def _finished_size(size: int) -> int:
    """The length of a tar whose members take *size* bytes: two empty blocks end it, and it is filled up."""
    return -(-(size + 2 * _BLOCK) // _RECORD) * _RECORD
