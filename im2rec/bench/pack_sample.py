"""Some pictures of a list, at every stage of being packed, and the work of each stage on one of them."""

from __future__ import annotations

import dataclasses
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from im2rec.bench.residence import Span
from im2rec.errors import ImageError, InputError, ListFormatError
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.format.listfile import ListEntry
from im2rec.format.recordio import encode_record
from im2rec.images.codec import Image, image_info
from im2rec.images.engine import Engine, load_engine
from im2rec.packing.chunk import BAD_LINE
from im2rec.packing.encode import Picture, decode_image, encode_image, resize_image
from im2rec.packing.list_reader import Entry, ListLines
from im2rec.packing.params import PackParams
from im2rec.storage.files import PathLike, read_file, reason

_KEPT = 1024  # lines of a list, evenly spread over it: up to twice as many
_MOST, _MOST_BYTES = 256, 64 << 20  # pictures of a sample, and of their pixels


class Listed(NamedTuple):
    """A list: how many lines it has, and some of them, evenly spread."""

    lines: int
    some: list[Entry]


def read_lines(path: PathLike, params: PackParams) -> Listed:
    """Read the list *path*. Raises InputError, also when there is no line in it."""
    lines = ListLines(path, label_width=params.label_width, nsplit=params.nsplit, part=params.part)
    listed = thinned(lines.entries())
    if not listed.some:
        raise InputError(f"{os.fspath(path)}: lists no images", hint="make one with 'im2rec make-list'")
    return listed


def thinned(entries: Iterable[Entry]) -> Listed:
    """All of *entries*, or every second, fourth and so on of many."""
    kept: list[Entry] = []
    step, number = 1, -1
    for number, entry in enumerate(entries):
        if number % step == 0:
            kept.append(entry)
        if len(kept) > 2 * _KEPT:
            kept, step = kept[::2], 2 * step
    return Listed(number + 1, kept)


@dataclasses.dataclass(frozen=True)
class PackShot:
    """One picture: its entry and file, the file's *content*, decoded, resized, and as it is stored."""

    entry: ListEntry
    path: Path
    content: bytes
    picture: Picture | None
    resized: Image | None
    stored: bytes


class PackSample:
    """Pictures of *entries* below *root*, as many as are packed in *seconds*, and one of them at least.

    *bad* counts what was wrong with others by reason, *seconds_each* is what one took in all. Raises InputError when
    nothing could be packed.
    """

    def __init__(self, entries: Iterable[Entry], root: Path, params: PackParams, seconds: float) -> None:
        self.params = params
        self.engine = None if params.unchanged else load_engine(params.engine)
        self.bad: Counter[str] = Counter()
        self.bad_lines: set[int] = set()
        self._root = root
        start = time.perf_counter()
        self.shots = list(self._shots(list(entries), seconds))
        self.seconds_each = (time.perf_counter() - start) / max(1, len(self.shots))
        if not self.shots:
            counted = ", ".join(f"{count} {what}" for what, count in self.bad.most_common())
            raise InputError(f"none of the images below {root} could be packed: {counted}", hint="check ROOT")

    def _shots(self, entries: list[Entry], seconds: float) -> Iterator[PackShot]:
        end, pixel_bytes, found = time.perf_counter() + seconds, 0, 0
        for entry in entries[:: len(entries) // _MOST + 1]:
            if found and (time.perf_counter() > end or pixel_bytes > _MOST_BYTES):
                return
            shot = self._shot(entry)
            if shot is not None:
                found, pixel_bytes = found + 1, pixel_bytes + (shot.picture.pixels.nbytes if shot.picture else 0)
                yield shot

    def _shot(self, entry: Entry) -> PackShot | None:
        if isinstance(entry, ListFormatError):
            self.bad[BAD_LINE] += 1
            return None
        path = self._root / entry.path
        try:
            content = read_file(path)
            if self.engine is None:
                return PackShot(entry, path, content, None, None, content)
            picture = decode_image(content, self.params)
            resized = resize_image(picture, entry.id, self.params, self.engine)
            return PackShot(entry, path, content, picture, resized, encode_image(resized, self.params, self.engine))
        except OSError as error:
            self.bad[reason(error)] += 1
        except ImageError as error:
            self.bad[error.reason] += 1
        self.bad_lines.add(entry.line)
        return None

    # The stages

    def read(self, shots: list[PackShot]) -> int:
        """The files from the disk, or memory; their bytes."""
        return sum(len(read_file(shot.path)) for shot in shots)

    def decode(self, shot: PackShot) -> None:
        """From the file's content to pixels."""
        decode_image(shot.content, self.params)

    def decode_draft(self, shot: PackShot) -> None:
        """The same with ``draft=1``."""
        decode_image(shot.content, dataclasses.replace(self.params, draft=True))

    def resize(self, shot: PackShot) -> None:
        """From pixels to those that are stored."""
        assert shot.picture is not None
        assert self.engine is not None
        resize_image(shot.picture, shot.entry.id, self.params, self.engine)

    def encode(self, shot: PackShot) -> None:
        """From the pixels that are stored to what stands in the record."""
        assert shot.resized is not None
        assert self.engine is not None
        encode_image(shot.resized, self.params, self.engine)

    def by(self, engine: Engine) -> Callable[[PackShot], None]:
        """Resizing and encoding by another engine."""

        def resize_and_encode(shot: PackShot) -> None:
            assert shot.picture is not None
            encode_image(resize_image(shot.picture, shot.entry.id, self.params, engine), self.params, engine)

        return resize_and_encode

    def frames(self) -> list[tuple[int, bytes]]:
        """Id and framed record of each, as they are written."""
        return [
            (entry.id, encode_record(encode_image_record(IRHeader(0, entry.labels[0], entry.id), shot.stored)))
            for shot in self.shots
            for entry in [shot.entry]
        ]

    # What they are like

    @property
    def spans(self) -> list[Span]:
        """Where the files' bytes are."""
        return [Span(shot.path, 0, len(shot.content)) for shot in self.shots]

    @property
    def contents(self) -> list[bytes]:
        """The content of each."""
        return [shot.content for shot in self.shots]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of each, as its file has them."""
        return [(info.width, info.height) for info in map(image_info, self.contents)]
