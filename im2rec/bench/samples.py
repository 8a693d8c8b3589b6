"""Sample images of a record file or a list, at every stage of the feed or of packing, and the work of each stage."""

from __future__ import annotations

import dataclasses
import itertools
import os
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from im2rec.augment.augmenter import AugmentationPlan, Augmenter
from im2rec.augment.draws import Draws
from im2rec.augment.geometry import Size
from im2rec.bench.advice import AUGMENTING, DECODING, NORMALISING
from im2rec.bench.read_speed import FileSpan
from im2rec.bench.timing import now
from im2rec.errors import ImageError, InputError, ListFormatError
from im2rec.format.irheader import ImageRecord, IRHeader, encode_image_record
from im2rec.format.listfile import ListEntry
from im2rec.format.recordio import encode_record
from im2rec.images.codec import Image, image_info, sniff
from im2rec.images.engine import Engine, Resampler, load_engine, load_resampler
from im2rec.images.scratch import scratch
from im2rec.iterators.image_record import ImageRecordIter, loader_of
from im2rec.packing.encode import DecodedImage, decode_image, encode_image, resize_image
from im2rec.packing.list_reader import Entry, ListLines
from im2rec.packing.params import PackParams
from im2rec.packing.report import BAD_LINE
from im2rec.pipeline.loader import UndecodedJpeg
from im2rec.storage.files import PathLike, read_file, reason

_MOST, _MOST_BYTES = 256, 64 << 20  # images of a sample, and of their pixels
_ROWS_BYTES = 64 << 20  # of the rows they are written to
_BMP_MOST = 64
T = TypeVar("T")


def _as_many(shots: Iterable[T | None], pixel_bytes: Callable[[T], int], seconds: float) -> Iterator[T]:
    """As many of *shots*, without those that are None, as *seconds* and ``_MOST_BYTES`` allow, and at least one."""
    end, size, found = now() + seconds, 0, False
    for shot in shots:
        if shot is not None:
            found, size = True, size + pixel_bytes(shot)
            yield shot
        if found and (now() > end or size > _MOST_BYTES):
            return


@dataclasses.dataclass(frozen=True)
class SampleImage:
    """One image: its *draws*, encoded, decoded, planned, and augmented but not flipped or normalised.

    *jpeg* is there where the compiled decoder makes the row at once.
    """

    draws: Draws
    content: bytes
    jpeg: UndecodedJpeg | None
    pixels: Image
    plan: AugmentationPlan
    image: Image


class IteratorSample:
    """Images evenly spread over the records of *it*, as many as decode in *seconds*, and one of them at least.

    Raises InputError when none of the file can be decoded.
    """

    def __init__(self, it: ImageRecordIter, seconds: float) -> None:
        self._it, self._loader = it, loader_of(it)
        self.declined: Counter[str] = Counter()
        shape = it.provide_data[0].shape[1:]
        size = int(np.prod(shape)) * np.dtype(it.provide_data[0].dtype).itemsize
        rows = min(it.batch_size, max(1, _ROWS_BYTES // size))
        # One batch, written over and over, as the iterator does with memory that comes back to it.
        self._rows = np.zeros((rows, *shape), it.provide_data[0].dtype)
        self._bytes = self._rows.astype(np.uint8)
        self._numbers = itertools.count()
        self._loader.look_for_kernel()
        self.shots = list(_as_many(self._shots(), lambda shot: shot.pixels.nbytes, seconds))
        if not self.shots:
            raise InputError(f"{it.params.path_imgrec}: no image decodes", hint="run 'im2rec inspect --verify' on it")

    def _shots(self) -> Iterator[SampleImage | None]:
        records = self._loader.records
        positions = np.unique(np.linspace(0, len(records) - 1, _MOST).astype(np.int64))
        np.random.default_rng(0).shuffle(positions)  # when time is up before the last one, they are spread all the same
        ordinals = records.ordinals(positions).tolist()
        drawn = self._loader.draws([0] * len(ordinals), ordinals)
        for draws, record in zip(drawn, records.each(ordinals), strict=True):
            yield self._shot(draws, record.content) if isinstance(record, ImageRecord) else None

    def _shot(self, draws: Draws, content: bytes) -> SampleImage | None:
        try:
            pixels, _ = self._loader.decoded(content)
            plan = self._plan(draws, pixels)
            image = self._loader.augmenter.image(pixels, plan)
        except ImageError:  # skipped, as the iterator does
            return None
        jpeg = self._loader.for_kernel(content)
        declined = jpeg if isinstance(jpeg, str) else self._loader.write_by_kernel(jpeg, draws, self._row())
        self.declined[declined] += 1
        return SampleImage(
            draws, content, jpeg if isinstance(jpeg, UndecodedJpeg) and not declined else None, pixels, plan, image
        )

    def _row(self) -> Any:
        """The next row; threads may ask for one at once."""
        return self._rows[next(self._numbers) % len(self._rows)]

    def _plan(self, draws: Draws, pixels: Image) -> AugmentationPlan:
        return self._loader.augmenter.plan(Size.of(pixels), draws)

    # The stages

    def decode(self, shot: SampleImage) -> None:
        """From the record's content to pixels; to a row of a batch, where the compiled decoder does that at once."""
        if shot.jpeg is None:
            self.decode_content(shot.content)
        else:
            self._loader.write_by_kernel(shot.jpeg, shot.draws, self._row())

    def augment(self, shot: SampleImage) -> None:
        """Everything that is drawn, and all of it applied but the last step."""
        if shot.jpeg is None:
            self._loader.augmenter.image(shot.pixels, self._plan(shot.draws, shot.pixels))

    def normalise(self, shot: SampleImage) -> None:
        """The last step, into one row of a batch after the other."""
        if shot.jpeg is None:
            _finish(self._loader.augmenter, shot, self._row())

    @property
    def stages(self) -> dict[str, Callable[[SampleImage], None]]:
        """The stages that there are: where the compiled decoder makes all rows, there is none behind it."""
        behind = {AUGMENTING: self.augment, NORMALISING: self.normalise}
        return {DECODING: self.decode, **(behind if any(shot.jpeg is None for shot in self.shots) else {})}

    # What could be instead

    def decode_whole(self, shot: SampleImage) -> None:
        """From the record's content to all of its pixels, by libjpeg."""
        self.decode_content(shot.content)

    def normalise_bytes(self) -> Callable[[SampleImage], None]:
        """The last step where the batch is uint8."""
        augmenter = self._augmenter(load_resampler(self._it.params.engine))

        def normalise(shot: SampleImage) -> None:
            _finish(augmenter, shot, self._bytes[next(self._numbers) % len(self._bytes)])

        return normalise

    def augment_by(self, engine: Resampler) -> Callable[[SampleImage], None]:
        """As :meth:`augment`, by another engine."""
        augmenter = self._augmenter(engine)

        def augment(shot: SampleImage) -> None:
            augmenter.image(shot.pixels, self._plan(shot.draws, shot.pixels))

        return augment

    def _augmenter(self, engine: Resampler) -> Augmenter:
        params = self._it.params
        return Augmenter(params, params.shape, engine, dtype="uint8", layout=params.layout)

    def uncompressed(self, engine: Engine) -> list[tuple[SampleImage, bytes]]:
        """The first ones, and their contents as ``pack encoding=.bmp`` would have stored them."""
        first = self.shots[:_BMP_MOST]
        return [(shot, engine.encode(shot.pixels, ".bmp", quality=100, png_level=0)) for shot in first]

    def decode_uncompressed(self, stored: tuple[SampleImage, bytes]) -> None:
        """What :meth:`decode` does, from an uncompressed content."""
        shot, content = stored
        self.decode_content(content)
        if shot.jpeg is not None:
            self._loader.augmenter.write(shot.pixels, self._plan(shot.draws, shot.pixels), self._row())

    def decode_content(self, content: bytes) -> None:
        """From any content to pixels, which nobody keeps."""
        self._loader.decoded(content, lambda size: scratch("decoded", size))

    # What they are like

    @property
    def is_by_kernel(self) -> bool:
        """Whether the compiled decoder makes the rows of some."""
        return any(shot.jpeg is not None for shot in self.shots)

    @property
    def declined_by_kernel(self) -> dict[str, int]:
        """How many images the compiled decoder declined for each reason; nothing where it took none."""
        return {reason: count for reason, count in self.declined.most_common() if reason and self.is_by_kernel}

    @property
    def contents(self) -> list[bytes]:
        """The content of each."""
        return [shot.content for shot in self.shots]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of each."""
        return [(shot.pixels.shape[1], shot.pixels.shape[0]) for shot in self.shots]


def _finish(augmenter: Augmenter, shot: SampleImage, row: Any) -> None:
    augmenter.write(shot.image, shot.plan._replace(steps=()), row)


_KEPT = 1024  # lines of a list, evenly spread over it: up to twice as many


class ListSample(NamedTuple):
    """A list: how many lines it has, and some of them, evenly spread."""

    lines: int
    some: list[Entry]


def read_lines(path: PathLike, params: PackParams) -> ListSample:
    """Read the list *path*. Raises InputError, also when there is no line in it."""
    lines = ListLines(path, label_width=params.label_width, nsplit=params.nsplit, part=params.part)
    listed = thinned(lines.entries())
    if not listed.some:
        raise InputError(f"{os.fspath(path)}: lists no images", hint="make one with 'im2rec make-list'")
    return listed


def thinned(entries: Iterable[Entry]) -> ListSample:
    """All of *entries*, or every second, fourth and so on of many."""
    kept: list[Entry] = []
    step, number = 1, -1
    for number, entry in enumerate(entries):
        if number % step == 0:
            kept.append(entry)
        if len(kept) > 2 * _KEPT:
            kept, step = kept[::2], 2 * step
    return ListSample(number + 1, kept)


@dataclasses.dataclass(frozen=True)
class PackSampleImage:
    """One image: its entry and file, the file's *content*, decoded, resized, and as it is stored."""

    entry: ListEntry
    path: Path
    content: bytes
    image: DecodedImage | None
    resized: Image | None
    stored: bytes


class PackSample:
    """Images of *entries* below *root*, as many as are packed in *seconds*, and one of them at least.

    *bad* counts what was wrong with others by reason, *seconds_each* is what one took in all. Raises InputError when
    nothing could be packed.
    """

    def __init__(self, entries: Iterable[Entry], root: Path, params: PackParams, seconds: float) -> None:
        self.params = params
        self.engine = None if params.unchanged else load_engine(params.engine)
        self.bad: Counter[str] = Counter()
        self.bad_lines: set[int] = set()
        self._root = root
        start, lines = now(), list(entries)
        shots = map(self._shot, lines[:: len(lines) // _MOST + 1])
        self.shots = list(_as_many(shots, lambda shot: shot.image.pixels.nbytes if shot.image else 0, seconds))
        self.seconds_each = (now() - start) / max(1, len(self.shots))
        if not self.shots:
            counted = ", ".join(f"{count} {what}" for what, count in self.bad.most_common())
            raise InputError(f"none of the images below {root} could be packed: {counted}", hint="check ROOT")

    def _shot(self, entry: Entry) -> PackSampleImage | None:
        if isinstance(entry, ListFormatError):
            self.bad[BAD_LINE] += 1
            return None
        path = self._root / entry.path
        try:
            content = read_file(path)
            if self.engine is None:
                return PackSampleImage(entry, path, content, None, None, content)
            image = decode_image(content, self.params)
            resized = resize_image(image, entry.id, self.params, self.engine)
            return PackSampleImage(
                entry, path, content, image, resized, encode_image(resized, self.params, self.engine)
            )
        except OSError as error:
            self.bad[reason(error)] += 1
        except ImageError as error:
            self.bad[error.reason] += 1
        self.bad_lines.add(entry.line)
        return None

    # The stages

    def read(self, shots: list[PackSampleImage]) -> int:
        """The files from the disk, or memory; their bytes."""
        return sum(len(read_file(shot.path)) for shot in shots)

    def decode(self, shot: PackSampleImage) -> None:
        """From the file's content to pixels."""
        decode_image(shot.content, self.params)

    def decode_draft(self, shot: PackSampleImage) -> None:
        """The same with ``draft=1``."""
        decode_image(shot.content, dataclasses.replace(self.params, draft=True))

    def resize(self, shot: PackSampleImage) -> None:
        """From pixels to those that are stored."""
        assert shot.image is not None
        assert self.engine is not None
        resize_image(shot.image, shot.entry.id, self.params, self.engine)

    def encode(self, shot: PackSampleImage) -> None:
        """From the pixels that are stored to what stands in the record."""
        assert shot.resized is not None
        assert self.engine is not None
        encode_image(shot.resized, self.params, self.engine)

    def by(self, engine: Engine) -> Callable[[PackSampleImage], None]:
        """Resizing and encoding by another engine."""

        def resize_and_encode(shot: PackSampleImage) -> None:
            assert shot.image is not None
            encode_image(resize_image(shot.image, shot.entry.id, self.params, engine), self.params, engine)

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
    def spans(self) -> list[FileSpan]:
        """Where the files' bytes are."""
        return [FileSpan(shot.path, 0, len(shot.content)) for shot in self.shots]

    @property
    def contents(self) -> list[bytes]:
        """The content of each."""
        return [shot.content for shot in self.shots]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of each, as its file has them."""
        return [(info.width, info.height) for info in map(image_info, self.contents)]


def jpeg_share(contents: Sequence[bytes]) -> float:
    """The share of JPEGs."""
    return sum(sniff(content) == "JPEG" for content in contents) / len(contents)


def typical(contents: Sequence[bytes], sizes: Sequence[tuple[int, int]]) -> str:
    """Typical images, in words; *sizes* are width and height of each."""
    width, height = (round(statistics.median(edge)) for edge in zip(*sizes, strict=True))
    share = jpeg_share(contents)
    kind = "JPEG" if share == 1 else "no JPEG" if share == 0 else f"{share:.0%} JPEG"
    return f"{width} x {height}, {kind}, {statistics.mean(map(len, contents)) / 1000:.3g} kB"
