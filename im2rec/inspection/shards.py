"""Pictures as tar shards, the way WebDataset reads them: files of one sample share a name up to the first dot.

Source: torchdata 0.6, ``torchdata.datapipes.iter.WebDataset``.
"""

from __future__ import annotations

import json
import os
import tarfile
from typing import BinaryIO

from im2rec.extraction.resumable_folder import Partial
from im2rec.extraction.selection import label_text
from im2rec.extraction.writers import Sample, Writer

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

    def __init__(self, place: Partial, stem: str, limit: int) -> None:
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
            self._shard.flush()
            os.fsync(self._shard.fileno())
            self._shard.close()
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
