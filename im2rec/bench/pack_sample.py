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
from im2rec.build.chunk import BAD_LINE
from im2rec.build.list_source import Entry, ListLines
from im2rec.build.pack_params import PackParams
from im2rec.build.records import _draft_sizes, _interpolation, stored_size
from im2rec.errors import ImageError, InputError, ListFormatError
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.format.listfile import ListEntry
from im2rec.format.recordio import encode_record
from im2rec.images.codec import Image, decode, sniff
from im2rec.images.engine import Engine, center_square, load_engine
from im2rec.storage.paths import PathLike, read_file, reason

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
    """One picture: its entry and file, the file's *content*, pixels, those of the stored size, and what is stored."""

    entry: ListEntry
    path: Path
    content: bytes
    pixels: Image | None
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
                found, pixel_bytes = found + 1, pixel_bytes + (0 if shot.pixels is None else shot.pixels.nbytes)
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
            pixels = self._decoded(content, self.params)
            resized = self._resized(content, pixels, entry.id, self.engine)
            return PackShot(entry, path, content, pixels, resized, self._encoded(resized, self.engine))
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
        self._decoded(shot.content, self.params)

    def decode_draft(self, shot: PackShot) -> None:
        """The same with ``draft=1``."""
        self._decoded(shot.content, dataclasses.replace(self.params, draft=True))

    def resize(self, shot: PackShot) -> None:
        """From pixels to those that are stored."""
        assert shot.pixels is not None
        assert self.engine is not None
        self._resized(shot.content, shot.pixels, shot.entry.id, self.engine)

    def encode(self, shot: PackShot) -> None:
        """From the pixels that are stored to what stands in the record."""
        assert shot.resized is not None
        assert self.engine is not None
        self._encoded(shot.resized, self.engine)

    def by(self, engine: Engine) -> Callable[[PackShot], None]:
        """Resizing and encoding by another engine."""

        def resize_and_encode(shot: PackShot) -> None:
            assert shot.pixels is not None
            self._encoded(self._resized(shot.content, shot.pixels, shot.entry.id, engine), engine)

        return resize_and_encode

    def frames(self) -> list[tuple[int, bytes]]:
        """Id and framed record of each, as they are written."""
        return [
            (entry.id, encode_record(encode_image_record(IRHeader(0, entry.labels[0], entry.id), shot.stored)))
            for shot in self.shots
            for entry in [shot.entry]
        ]

    def _decoded(self, content: bytes, params: PackParams) -> Image:
        _, at_least = _draft_sizes(content, params)
        return decode(content, params.color, at_least=at_least, max_pixels=params.max_pixels).pixels

    def _resized(self, content: bytes, pixels: Image, id_: int, engine: Engine) -> Image:
        size, _ = _draft_sizes(content, self.params)
        width, height = size or pixels.shape[1::-1]
        new = stored_size(width, height, self.params)
        image = center_square(pixels) if self.params.center_crop else pixels
        old = image.shape[1], image.shape[0]
        return engine.resize(image, *new, _interpolation(old, new, id_, self.params)) if new != old else image

    def _encoded(self, image: Image, engine: Engine) -> bytes:
        return engine.encode(image, self.params.encoding, quality=self.params.quality, png_level=self.params.png_level)

    # What they are like

    @property
    def spans(self) -> list[Span]:
        """Where the files' bytes are."""
        return [Span(shot.path, 0, len(shot.content)) for shot in self.shots]

    @property
    def jpegs(self) -> float:
        """The share of JPEGs."""
        return sum(sniff(shot.content) == "JPEG" for shot in self.shots) / len(self.shots)
