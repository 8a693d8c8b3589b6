"""Sample images of a record file or a list, kept as each stage leaves them, and the work of each stage on them."""

from __future__ import annotations

import dataclasses
import itertools
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
from im2rec.images.codec import Image, image_info
from im2rec.images.engine import Engine, Resampler, load_engine, load_resampler
from im2rec.images.scratch import scratch
from im2rec.images.signatures import sniff
from im2rec.iterators.image_record import ImageRecordIter, loader_of
from im2rec.packing.encode import DecodedImage, decode_image, encode_image, resize_image
from im2rec.packing.list_reader import Entry, ListLines
from im2rec.packing.params import PackParams
from im2rec.packing.report import BAD_LINE
from im2rec.pipeline.loader import UndecodedJpeg
from im2rec.storage.files import PathLike, file_name, read_file, reason
from im2rec.storage.missing_files import why_missing

_MAX_IMAGES, _MAX_PIXEL_BYTES = 256, 64 << 20  # of a sample
_MAX_BATCH_BYTES = 64 << 20  # of the batch whose rows the stages write
_MAX_BMP_IMAGES = 64
T = TypeVar("T")


def _limited(images: Iterable[T | None], pixel_bytes: Callable[[T], int], seconds: float) -> Iterator[T]:
    """Yield those of *images* that are not None until *seconds* or ``_MAX_PIXEL_BYTES`` are used up; at least one."""
    end, size, has_any = now() + seconds, 0, False
    for image in images:
        if image is not None:
            has_any, size = True, size + pixel_bytes(image)
            yield image
        if has_any and (now() > end or size > _MAX_PIXEL_BYTES):
            return


@dataclasses.dataclass(frozen=True)
class SampleImage:
    """One image of a record: its *draws*, as encoded, as decoded, its plan, and *augmented*.

    *augmented* is what every step of the plan makes of *pixels*, before it is mirrored and normalised. *jpeg* is None
    unless the compiled decoder makes the whole row of the batch in one go.
    """

    draws: Draws
    content: bytes
    jpeg: UndecodedJpeg | None
    pixels: Image
    plan: AugmentationPlan
    augmented: Image


class IteratorSample:
    """Images evenly spread over the records of *it*: as many as can be decoded in *seconds*, and at least one.

    Raises InputError if no image of the file can be decoded.
    """

    def __init__(self, it: ImageRecordIter, seconds: float) -> None:
        self._it, self._loader = it, loader_of(it)
        self.declined: Counter[str] = Counter()
        shape = it.provide_data[0].shape[1:]
        size = int(np.prod(shape)) * np.dtype(it.provide_data[0].dtype).itemsize
        rows = min(it.batch_size, max(1, _MAX_BATCH_BYTES // size))
        # One batch that is overwritten again and again: the iterator recycles its batch buffers too.
        self._rows = np.zeros((rows, *shape), it.provide_data[0].dtype)
        self._uint8_rows = self._rows.astype(np.uint8)
        self._row_numbers = itertools.count()
        self._loader.load_kernel_if_due()
        self.images = list(_limited(self._sampled(), lambda image: image.pixels.nbytes, seconds))
        if not self.images:
            raise InputError("no image decodes", path=it.params.path_imgrec, hint="run 'im2rec inspect --verify' on it")

    def _sampled(self) -> Iterator[SampleImage | None]:
        """Yield the sample images in random order; None in place of one that cannot be decoded."""
        records = self._loader.records
        positions = np.unique(np.linspace(0, len(records) - 1, _MAX_IMAGES).astype(np.int64))
        np.random.default_rng(0).shuffle(positions)  # so that a sample that ends early is spread over the file too
        ordinals = records.ordinals(positions).tolist()
        all_draws = self._loader.draws([0] * len(ordinals), ordinals)
        for draws, record in zip(all_draws, records.read_many(ordinals), strict=True):
            yield self._sample_image(draws, record.content) if isinstance(record, ImageRecord) else None

    def _sample_image(self, draws: Draws, content: bytes) -> SampleImage | None:
        try:
            pixels, _ = self._loader.decode(content)
            plan = self._plan(draws, pixels)
            augmented = self._loader.augmenter.augment(pixels, plan)
        except ImageError:  # skipped, as the iterator does
            return None
        jpeg = self._loader.inspect_jpeg(content)
        declined = jpeg if isinstance(jpeg, str) else self._loader.decode_into_row(jpeg, draws, self._next_row())
        self.declined[declined] += 1
        taken = jpeg if isinstance(jpeg, UndecodedJpeg) and not declined else None
        return SampleImage(draws, content, taken, pixels, plan, augmented)

    def _next_row(self) -> Any:
        """Return the next row of the batch. Safe in several threads."""
        return self._rows[next(self._row_numbers) % len(self._rows)]

    def _plan(self, draws: Draws, pixels: Image) -> AugmentationPlan:
        return self._loader.augmenter.plan(Size.of(pixels), draws)

    # The stages

    def decode(self, image: SampleImage) -> None:
        """Decode the content of *image*; where the compiled decoder takes it, straight into a row of the batch."""
        if image.jpeg is None:
            self.decode_content(image.content)
        else:
            self._loader.decode_into_row(image.jpeg, image.draws, self._next_row())

    def augment(self, image: SampleImage) -> None:
        """Draw the random numbers of *image* and apply every step of its plan."""
        if image.jpeg is None:
            self._loader.augmenter.augment(image.pixels, self._plan(image.draws, image.pixels))

    def normalise(self, image: SampleImage) -> None:
        """Mirror and normalise *image* into the next row of the batch."""
        if image.jpeg is None:
            _write_row(self._loader.augmenter, image, self._next_row())

    @property
    def stages(self) -> dict[str, Callable[[SampleImage], None]]:
        """The stages by name; decoding alone if the compiled decoder makes the row of every image."""
        after_decoding = {AUGMENTING: self.augment, NORMALISING: self.normalise}
        return {DECODING: self.decode, **(after_decoding if any(image.jpeg is None for image in self.images) else {})}

    # Alternatives to a stage

    def decode_fully(self, image: SampleImage) -> None:
        """Decode all pixels of *image* with the ordinary decoder."""
        self.decode_content(image.content)

    def normalise_to_uint8(self) -> Callable[[SampleImage], None]:
        """Return the stage of normalising for a batch of uint8."""
        augmenter = self._uint8_augmenter(load_resampler(self._it.params.engine))

        def normalise(image: SampleImage) -> None:
            _write_row(augmenter, image, self._uint8_rows[next(self._row_numbers) % len(self._uint8_rows)])

        return normalise

    def augment_with(self, engine: Resampler) -> Callable[[SampleImage], None]:
        """Return the stage of augmenting with another *engine*."""
        augmenter = self._uint8_augmenter(engine)

        def augment(image: SampleImage) -> None:
            augmenter.augment(image.pixels, self._plan(image.draws, image.pixels))

        return augment

    def _uint8_augmenter(self, engine: Resampler) -> Augmenter:
        params = self._it.params
        return Augmenter(params, params.shape, engine, dtype="uint8", layout=params.layout)

    def as_bmp(self, engine: Engine) -> list[tuple[SampleImage, bytes]]:
        """Return the first images, each with its content as ``pack encoding=.bmp`` stores it."""
        first = self.images[:_MAX_BMP_IMAGES]
        return [(image, engine.encode(image.pixels, ".bmp", quality=100, png_level=0)) for image in first]

    def decode_bmp(self, stored: tuple[SampleImage, bytes]) -> None:
        """Do the work of :meth:`decode` on an item of :meth:`as_bmp`."""
        image, content = stored
        self.decode_content(content)
        if image.jpeg is not None:
            self._loader.augmenter.write(image.pixels, self._plan(image.draws, image.pixels), self._next_row())

    def decode_content(self, content: bytes) -> None:
        """Decode *content* with the ordinary decoder, into memory that the next call reuses."""
        self._loader.decode(content, lambda size: scratch("decoded", size))

    # Properties of the sample

    @property
    def is_kernel_used(self) -> bool:
        """True if the compiled decoder takes at least one of the images."""
        return any(image.jpeg is not None for image in self.images)

    @property
    def declined_by_kernel(self) -> dict[str, int]:
        """The number of images that the compiled decoder declined, by reason; empty if it took none."""
        return {reason: count for reason, count in self.declined.most_common() if reason and self.is_kernel_used}

    @property
    def contents(self) -> list[bytes]:
        """The encoded images."""
        return [image.content for image in self.images]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of each image, in pixels."""
        return [(image.pixels.shape[1], image.pixels.shape[0]) for image in self.images]


def _write_row(augmenter: Augmenter, image: SampleImage, row: Any) -> None:
    augmenter.write(image.augmented, image.plan._replace(steps=()), row)


_MIN_KEPT_ENTRIES = 1024  # of a long list; at most twice as many are kept


class ListSample(NamedTuple):
    """The number of lines of a list, and entries evenly spread over it."""

    line_count: int
    entries: list[Entry]


def sample_list(path: PathLike, params: PackParams, root: PathLike | None = None) -> ListSample:
    """Read the list *path* of files below *root*, and keep a sample of it.

    Raises InputError if it cannot be read or has no lines.
    """
    lines = ListLines(path, label_width=params.label_width, nsplit=params.nsplit, part=params.part, root=root)
    listed = evenly_sampled(lines.entries())
    if not listed.entries:
        raise InputError("lists no images", path=path, hint="make one with 'im2rec make-list'")
    return listed


def evenly_sampled(entries: Iterable[Entry]) -> ListSample:
    """Keep all of *entries* if they are few, else every second, fourth and so on."""
    kept: list[Entry] = []
    step, number = 1, -1
    for number, entry in enumerate(entries):
        if number % step == 0:
            kept.append(entry)
        if len(kept) > 2 * _MIN_KEPT_ENTRIES:
            kept, step = kept[::2], 2 * step
    return ListSample(number + 1, kept)


@dataclasses.dataclass(frozen=True)
class PackSampleImage:
    """One image of a list: its entry, its file and the file's *content*, as decoded, as resized, and as stored.

    *decoded* and *resized* are None if files are stored unchanged.
    """

    entry: ListEntry
    path: Path
    content: bytes
    decoded: DecodedImage | None
    resized: Image | None
    stored: bytes


class PackSample:
    """Images of *entries* below *root*: as many as can be packed in *seconds*, and at least one.

    *bad* counts the images that could not be packed, by reason, and *bad_lines* holds their line numbers.
    *seconds_each* is the time that one image took in all. Raises InputError if no image could be packed.
    """

    def __init__(self, entries: Iterable[Entry], root: Path, params: PackParams, seconds: float) -> None:
        self.params = params
        self.engine = None if params.unchanged else load_engine(params.engine)
        self.bad: Counter[str] = Counter()
        self.bad_lines: set[int] = set()
        self._root = root
        start, lines = now(), list(entries)
        images = map(self._sample_image, lines[:: len(lines) // _MAX_IMAGES + 1])
        self.images = list(_limited(images, lambda image: image.decoded.pixels.nbytes if image.decoded else 0, seconds))
        self.seconds_each = (now() - start) / max(1, len(self.images))
        if not self.images:
            counted = ", ".join(f"{count} {what}" for what, count in self.bad.most_common())
            reasons = ((entry.path, why_missing(entry.path, root)) for entry in lines if isinstance(entry, ListEntry))
            hint = next((f"{path}: {why}" for path, why in reasons if why), "check ROOT")
            raise InputError(f"none of the images below it could be packed: {counted}", path=root, hint=hint)

    def _sample_image(self, entry: Entry) -> PackSampleImage | None:
        if isinstance(entry, ListFormatError):
            self.bad[BAD_LINE] += 1
            return None
        path = self._root / file_name(entry.path)
        try:
            content = read_file(path)
            if self.engine is None:
                return PackSampleImage(entry, path, content, None, None, content)
            decoded = decode_image(content, self.params)
            resized = resize_image(decoded, entry.id, self.params, self.engine)
            stored = encode_image(resized, self.params, self.engine)
            return PackSampleImage(entry, path, content, decoded, resized, stored)
        except OSError as error:
            self.bad[reason(error)] += 1
        except ImageError as error:
            self.bad[error.reason] += 1
        self.bad_lines.add(entry.line)
        return None

    # The stages

    def read(self, images: list[PackSampleImage]) -> int:
        """Read the files of *images* and return the number of bytes."""
        return sum(len(read_file(image.path)) for image in images)

    def decode(self, image: PackSampleImage) -> None:
        """Decode the file of *image*."""
        decode_image(image.content, self.params)

    def decode_draft(self, image: PackSampleImage) -> None:
        """Decode the file of *image* with ``draft=1``."""
        decode_image(image.content, dataclasses.replace(self.params, draft=True))

    def resize(self, image: PackSampleImage) -> None:
        """Crop and resize the decoded pixels of *image*."""
        assert image.decoded is not None
        assert self.engine is not None
        resize_image(image.decoded, image.entry.id, self.params, self.engine)

    def encode(self, image: PackSampleImage) -> None:
        """Encode the resized pixels of *image*."""
        assert image.resized is not None
        assert self.engine is not None
        encode_image(image.resized, self.params, self.engine)

    def resize_and_encode_with(self, engine: Engine) -> Callable[[PackSampleImage], None]:
        """Return the stages of resizing and encoding as one, with another *engine*."""

        def resize_and_encode(image: PackSampleImage) -> None:
            assert image.decoded is not None
            encode_image(resize_image(image.decoded, image.entry.id, self.params, engine), self.params, engine)

        return resize_and_encode

    def frames(self) -> list[tuple[int, bytes]]:
        """Return the id and the framed record of each image."""
        return [
            (entry.id, encode_record(encode_image_record(IRHeader(0, entry.labels[0], entry.id), image.stored)))
            for image in self.images
            for entry in [image.entry]
        ]

    # Properties of the sample

    @property
    def spans(self) -> list[FileSpan]:
        """All bytes of each file."""
        return [FileSpan(image.path, 0, len(image.content)) for image in self.images]

    @property
    def contents(self) -> list[bytes]:
        """The bytes of each file."""
        return [image.content for image in self.images]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of each image as its file states them, in pixels."""
        return [(info.width, info.height) for info in map(image_info, self.contents)]


def jpeg_share(contents: Sequence[bytes]) -> float:
    """Return the share of JPEGs among *contents*, from 0 to 1."""
    return sum(sniff(content) == "JPEG" for content in contents) / len(contents)


def describe_images(contents: Sequence[bytes], sizes: Sequence[tuple[int, int]]) -> str:
    """Return their median size, kind and mean length in words; *sizes* holds width and height of each."""
    width, height = (round(statistics.median(edge)) for edge in zip(*sizes, strict=True))
    share = jpeg_share(contents)
    kind = "JPEG" if share == 1 else "no JPEG" if share == 0 else f"{share:.0%} JPEG"
    return f"{width} x {height}, {kind}, {statistics.mean(map(len, contents)) / 1000:.3g} kB"
