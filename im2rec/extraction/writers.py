"""Read the images of a ``.rec`` in bounded batches, name them, and write them to class folders or tar shards.

Beside the folders a list is written, by which ``im2rec pack`` packs the images again. In a tar shard the files of one
sample share the part of their name before the first dot, as WebDataset expects.

Source: torchdata 0.6, ``torchdata.datapipes.iter.WebDataset``.
"""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from im2rec.errors import CorruptRecordError
from im2rec.extraction.resumable_folder import MARKER, MARKER_TEMP, ExtractionProgress, ResumableFolder
from im2rec.format.irheader import ImageRecord, label_text, short_float
from im2rec.format.listfile import list_line
from im2rec.images.signatures import EMPTY, EXTENSIONS, NO_EXTENSION, NOT_AN_IMAGE, sniff
from im2rec.selection.filters import Ordinals, SelectedRecords
from im2rec.selection.headers import ScannedFile, lost_as_text
from im2rec.storage.files import Closeable, file_name
from im2rec.storage.output import sync_and_close
from im2rec.storage.output_folder import OF_DESKTOPS

BATCH_RECORDS = 1000  # after a kill, at most one batch is written again
BATCH_BYTES = 8 << 20  # of records in memory at once; a larger record is read alone


class Sample(NamedTuple):
    """An image of a record, with the ordinal of the record, its id and its labels.

    *repeats_id* is True if another selected record has the same id, *is_vector* if the labels were stored after the
    header. *loses_bits* is True if a label of the vector has bits that no text gives back. *kind* is the format by the
    first bytes of *content*.
    """

    ordinal: int
    id: int
    repeats_id: bool
    labels: tuple[float, ...]
    is_vector: bool
    loses_bits: bool
    content: bytes
    kind: str

    @property
    def is_image(self) -> bool:
        """True if the content starts like an image."""
        return self.kind not in (NOT_AN_IMAGE, EMPTY)

    @property
    def extension(self) -> str:
        """The suffix of the content's format."""
        return EXTENSIONS.get(self.kind, NO_EXTENSION)

    def name(self, digits: int = 1) -> str:
        """Return the id in at least *digits* digits; an id that repeats is followed by the record's ordinal."""
        return f"{self.id:0{digits}d}" + (f"-{self.ordinal}" if self.repeats_id else "")


_IMAGE = re.compile(r"\d+(-\d+)?(" + "|".join(map(re.escape, (*EXTENSIONS.values(), NO_EXTENSION))) + ")")


def find_stranger(folder: Path, stem: str) -> str:
    """Return the path in *folder* of something that no extraction of ``<stem>.rec`` has written there, or ``""``.

    It is found by its name: all other files are the list, shards, or images, which are named by id. Raises OSError.
    """
    at_top = re.compile(rf"{re.escape(stem)}(\.lst|-\d{{6,}}\.tar)|{re.escape(MARKER)}|{re.escape(MARKER_TEMP)}")
    pending = [""]
    while pending:
        below = pending.pop()
        with os.scandir(folder / below) as entries:
            for entry in entries:
                path = f"{below}/{entry.name}" if below else entry.name
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
                elif not entry.is_file(follow_symlinks=False) or not (
                    _IMAGE.fullmatch(entry.name)
                    or entry.name in OF_DESKTOPS
                    or (not below and at_top.fullmatch(entry.name))
                ):
                    return path
    return ""


class Writer(Closeable):
    """A writer of samples to *folder*, in order: :meth:`add` for each, :meth:`save_progress` after a batch of them.

    :meth:`finish` ends it, and ``close()`` is called in any case. ``progress`` counts the samples; it is saved in the
    journal of *folder* when everything that it counts is written.
    """

    def __init__(self, folder: ResumableFolder) -> None:
        self.folder = folder
        self.progress: ExtractionProgress = folder.progress

    def add(self, sample: Sample) -> None:
        """Write *sample*. Raises OutputError."""
        self.progress.records += 1
        self.progress.bytes += len(sample.content)
        self.progress.not_images += not sample.is_image
        self.progress.lost_bits += sample.loses_bits

    def leave_out(self) -> None:
        """Count a selected record that is damaged."""
        self.progress.records += 1
        self.progress.damaged += 1

    def save_progress(self) -> None:
        """Save the counts in the journal, if a later run can resume here. Raises OutputError."""

    def finish(self) -> None:
        """Write to disk what is still open. Raises OutputError."""


def read_samples(rec: ScannedFile, selected: SelectedRecords, start: int) -> Iterator[list[Sample | None]]:
    """Yield the selected images from number *start* on, a bounded batch at a time; None in place of a damaged one."""
    while start < len(selected.ordinals):
        ordinals = _fit_batch(rec, selected.ordinals[start : start + BATCH_RECORDS]).tolist()
        repeats_id = selected.repeats_id[start : start + len(ordinals)].tolist()
        yield list(map(_make_sample, ordinals, _read_whole(rec, ordinals), repeats_id))
        start += len(ordinals)


def _read_whole(rec: ScannedFile, ordinals: list[int]) -> list[ImageRecord | None]:
    """Return the records at *ordinals*; None for one of which only reading all of it shows that it is damaged."""
    try:
        return list(rec.read_many(ordinals))
    except CorruptRecordError:
        return [_read_if_whole(rec, ordinal) for ordinal in ordinals]


def _read_if_whole(rec: ScannedFile, ordinal: int) -> ImageRecord | None:
    try:
        return rec[ordinal]
    except CorruptRecordError:
        return None


def _fit_batch(rec: ScannedFile, ordinals: Ordinals) -> Ordinals:
    """Return as many of *ordinals* as fit in ``BATCH_BYTES`` together, at least one."""
    fitting = int(np.searchsorted(np.cumsum(rec.frame_sizes(ordinals)), BATCH_BYTES, side="right"))
    return ordinals[: max(1, fitting)]


def _make_sample(ordinal: int, record: ImageRecord | None, repeats_id: bool) -> Sample | None:
    if record is None:
        return None
    header, content = record
    is_vector = header.flag > 0
    labels = tuple(map(short_float, header.label.tolist() if is_vector else [header.label]))
    # A single label was checked with the headers, see LABEL_BITS, and is not counted twice.
    loses_bits = header.flag > 1 and bool(lost_as_text(header.label.view(np.uint32)).any())
    return Sample(ordinal, header.id, repeats_id, labels, is_vector, loses_bits, content, sniff(content))


class FolderWriter(Writer):
    """A writer of files ``<label>/<id>.<ext>``, and of the list *list_name* of all images, in file order.

    *class_folders* are the names of the folders by label; None takes the labels as names.
    """

    def __init__(self, folder: ResumableFolder, list_name: str, class_folders: Sequence[str] | None = None) -> None:
        super().__init__(folder)
        self.class_folders = class_folders
        self._list = folder.reopen(list_name, self.progress.list_bytes)

    def add(self, sample: Sample) -> None:
        """Write the file, and its line in the list if it is an image: nothing else can be packed again."""
        label = sample.labels[0]
        class_folder = label_text(label) if self.class_folders is None else self.class_folders[int(label)]
        path = f"{class_folder}/{sample.name()}{sample.extension}".removeprefix("/")
        self.folder.write(file_name(path), sample.content)
        if sample.is_image:
            line = list_line(sample.id, sample.labels, path).encode("utf-8", "surrogateescape")
            self.progress.list_bytes += len(line)
            with self.folder.writing():
                self._list.write(line)
        super().add(sample)

    def save_progress(self) -> None:
        """Flush the list and save the journal: after any image a later run can resume."""
        with self.folder.writing():
            self._list.flush()
        self.folder.save()

    def finish(self) -> None:
        """Flush the list to disk; the image files are not, to spare an fsync for each."""
        with self.folder.writing():
            sync_and_close(self._list)

    def close(self) -> None:
        """Close the list. Closing twice is allowed."""
        with self.folder.writing():
            self._list.close()


KEY_DIGITS = 9  # with leading zeros, keys sort like the ids, up to a billion
MB = 1_000_000
_BLOCK, _RECORD = tarfile.BLOCKSIZE, tarfile.RECORDSIZE
_HEADER = tarfile.TarInfo("").tobuf(tarfile.USTAR_FORMAT)  # mode 0644, no owner, time 0: the same bytes in every run
_NAME, _SIZE, _CHECKSUM = 0, 124, 148  # offsets of these fields in a header, in bytes
_HEADER_SUM = int(_HEADER[_CHECKSUM : _CHECKSUM + 6], 8)


class ShardWriter(Writer):
    """A writer of shards ``<stem>-000000.tar`` etc., each at most *max_bytes* long unless a single sample is longer.

    A sample consists of ``<key>.<ext>``, ``<key>.cls`` (the first label) and, if the labels are a vector,
    ``<key>.json`` with all of them; the key is the id. The same samples give the same bytes.
    """

    def __init__(self, folder: ResumableFolder, stem: str, max_bytes: int) -> None:
        super().__init__(folder)
        self.stem = stem
        self.max_bytes = max_bytes
        self._shard: BinaryIO | None = None
        self._size = 0

    def add(self, sample: Sample) -> None:
        """Append the files of *sample*, to a new shard when the current one would become too long."""
        pieces = sample_pieces(sample)
        size = sum(map(len, pieces))
        if self._shard is not None and _finished_size(self._size + size) > self.max_bytes:
            self._end_shard()
        if self._shard is None:
            self._shard, self._size = self.folder.create(shard_name(self.stem, self.progress.shards)), 0
        with self.folder.writing():
            self._shard.writelines(pieces)
        self._size += size
        super().add(sample)

    def finish(self) -> None:
        """Finish the last shard."""
        if self._shard is not None:
            self._end_shard()

    def _end_shard(self) -> None:
        """Pad and close the current shard, and save the journal: a later run resumes only between two shards."""
        assert self._shard is not None
        with self.folder.writing():
            self._shard.write(bytes(_finished_size(self._size) - self._size))
            sync_and_close(self._shard)
        self._shard = None
        self.progress.shards += 1
        self.folder.save()

    def close(self) -> None:
        """Close an unfinished shard. Closing twice is allowed."""
        if self._shard is not None:
            with self.folder.writing():
                self._shard.close()


def shard_name(stem: str, number: int) -> str:
    """Return the file name of shard *number*, from 0."""
    return f"{stem}-{number:06d}.tar"


def sample_pieces(sample: Sample) -> list[bytes]:
    """Return the bytes of a sample's files in a tar, with headers and padding."""
    key = sample.name(KEY_DIGITS)
    files = {sample.extension: sample.content, ".cls": label_text(sample.labels[0]).encode()}
    if sample.is_vector:
        files[".json"] = json.dumps({"id": sample.id, "labels": sample.labels}).encode()
    return [piece for suffix, content in files.items() for piece in _member(key + suffix, content)]


def _member(name: str, content: bytes) -> tuple[bytes, bytes, bytes]:
    """Return header, content and padding of one file, as ``tarfile`` writes them, but ten times as fast.

    Only name, size and checksum differ from ``_HEADER``; the checksum is the sum of all bytes of the header.
    """
    name_bytes, size = name.encode("ascii"), b"%011o" % len(content)
    header = bytearray(_HEADER)
    header[_NAME : _NAME + len(name_bytes)] = name_bytes
    header[_SIZE : _SIZE + len(size)] = size
    header[_CHECKSUM : _CHECKSUM + 6] = b"%06o" % (_HEADER_SUM + sum(name_bytes) + sum(size) - sum(b"0" * len(size)))
    return bytes(header), content, bytes(-len(content) % _BLOCK)


def _finished_size(size: int) -> int:
    """Return the length of a tar with *size* bytes of members: two zero blocks end it, padded to a whole record."""
    return -(-(size + 2 * _BLOCK) // _RECORD) * _RECORD
