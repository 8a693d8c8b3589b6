"""Evenly spread samples of the images in a ``.rec``: statistics of their headers, and a contact sheet."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from im2rec.errors import CorruptRecordError, ImageError, counted
from im2rec.format.irheader import HEADER_BYTES, ImageRecord, decode_image_record, labels_of
from im2rec.format.recordio import Source, read_record, read_start
from im2rec.images import jpeg
from im2rec.images.codec import COLOR, ImageInfo, decode, image_info, orientation
from im2rec.images.jpeg import UPRIGHT
from im2rec.images.sheet import CELL, COLUMNS, Tile, draw_rows, draw_sheet, fitted, number_text, record_lines
from im2rec.images.signatures import EMPTY, NOT_AN_IMAGE, sniff
from im2rec.images.wrapping import MAX_NAME, clipped
from im2rec.inspection.distributions import Sampled
from im2rec.inspection.report import MAX_PROBLEM_RECORDS, ImageStatistics, Survey
from im2rec.inspection.spread import spread
from im2rec.storage.classes import ClassNames, class_name, class_names_beside
from im2rec.storage.files import InputFile, PathLike
from im2rec.storage.foreign import check_kind
from im2rec.storage.index import resolve_index
from im2rec.storage.output import AtomicFile
from im2rec.storage.record_map import whole_offsets

SAMPLE_SIZE = 1000  # images whose headers are read
SHEET_ROWS = 6
SHEET_IMAGES = SHEET_ROWS * COLUMNS  # more would be too small to recognise
_MOST_PASSED_OVER = 200  # records in a row that have no image, in search of one that has
_READ_BYTES = (4096, 1 << 16, 1 << 29)  # tried in turn: an image's size is usually in its first kilobytes


class SheetRow(NamedTuple):
    """A row of a sheet by identity: its *label*, how many *images* have it, and the *offsets* of those to draw."""

    label: float
    images: int
    offsets: list[int]


class IdentityRows(NamedTuple):
    """The *rows* of a sheet by identity, and the number of all *identities* of the set."""

    identities: int
    rows: list[SheetRow]


def image_statistics(
    source: Source,
    records: Iterable[tuple[int, int, int]],
    seen: Callable[[int, ImageInfo | ImageError], None] | None = None,
    sampled: Sampled | None = None,
) -> ImageStatistics:
    """Collect sizes, channels, JPEG qualities and orientations from the image headers of *records*.

    Each record is given as (ordinal, offset, length of its label vector). ``seen(ordinal, info)`` is called for each
    image, with an error if its header cannot be read, or the content is no image. *sampled* gets the numbers.
    """
    widths, heights, qualities, unreadable, first = [], [], [], 0, None
    channels: Counter[int] = Counter()
    orientations: Counter[int] = Counter()
    for ordinal, offset, flag in records:
        try:
            image = _read_image_info(source, offset, flag)
        except ImageError as error:
            unreadable += 1
            first = first or f"record {ordinal}, {error}"
            if sampled is not None and len(sampled.unreadable) < MAX_PROBLEM_RECORDS:
                sampled.unreadable[ordinal] = str(error)
            if seen is not None:
                seen(ordinal, error)
            continue
        info, content = image
        if seen is not None and content:
            seen(ordinal, info or ImageError("holds no image"))
        if info is not None:
            widths.append(info.width)
            heights.append(info.height)
            channels[info.channels] += 1
            orientations[orientation(content)] += 1
            qualities += [quality] if info.kind == "JPEG" and (quality := jpeg.estimated_quality(content)) else []
    del orientations[UPRIGHT]
    if sampled is not None:
        sampled.widths, sampled.heights, sampled.qualities = widths, heights, qualities
    return ImageStatistics(
        sampled=len(widths) + unreadable,
        widths=spread(widths) if widths else None,
        heights=spread(heights) if heights else None,
        by_channels=dict(channels.most_common()),
        unreadable=unreadable,
        first_unreadable=first,
        jpeg_quality=spread(qualities) if qualities else None,
        orientations=dict(sorted(orientations.items())),
    )


def _read_image_info(source: Source, offset: int, flag: int) -> tuple[ImageInfo | None, bytes]:
    """Info on the image in the record at *offset*, and the first bytes of it that were read for that.

    There is no info on a record without an image, or with other content. Raises ImageError if the content has the
    signature of an image, but its header cannot be read.
    """
    start = HEADER_BYTES + 4 * flag
    for limit in _READ_BYTES:
        content = read_start(source, offset, start + limit)[start:]
        if sniff(content) in (EMPTY, NOT_AN_IMAGE):
            return None, content
        try:
            return image_info(content), content
        except ImageError:
            if len(content) < limit:  # this was the whole image
                raise
    return None, b""


def evenly_spaced(count: int, limit: int = SAMPLE_SIZE) -> list[int]:
    """Return up to *limit* of the ordinals below *count*, evenly spaced, including the first and the last."""
    if count <= limit:
        return list(range(count))
    return [step * (count - 1) // (limit - 1) for step in range(limit)]


def write_sheet(
    path: PathLike,
    out: PathLike,
    *,
    index: PathLike | bool | None = None,
    force: bool = False,
    max_pixels: int | None = None,
    by_identity: IdentityRows | None = None,
    survey: Survey | None = None,
) -> None:
    """Draw a contact sheet of the ``.rec`` at *path*, damaged or not, to the PNG file *out*.

    It shows up to 60 images of the records that a survey with *index* counts, with id, labels and the name of the class
    below each, if names are beside the file; *max_pixels* limits their size, as in
    :func:`~im2rec.images.codec.decode`. With *by_identity* it shows the images of these rows instead, with the
    identity and the number of its images above each. The title says how many images and classes *survey* has counted.
    Raises InputError, and OutputError if *out* exists and *force* is False.
    """
    with InputFile(path) as file:
        check_kind(file)
        names, _ = class_names_beside(path)

        def tile_at(offset: int) -> Tile | None:
            return _read_tile(file, offset, None if by_identity else names, max_pixels)

        if by_identity is not None:
            # The heading has the identity, so below the images there are the ids alone.
            rows = [
                (
                    sheet_heading(row, names),
                    [tile._replace(lines=tile.lines[:1]) for tile in map(tile_at, row.offsets) if tile],
                )
                for row in by_identity.rows
            ]
            of = counted(by_identity.identities, "identity", "identities")
            shown = f"{len(rows)} of {of}, evenly spread" if len(rows) < by_identity.identities else of
            drawn = draw_rows(
                rows, [file.path.name, f"{shown}, {counted(survey.images, 'image')}" if survey else shown]
            )
        else:
            offsets = whole_offsets(file, resolve_index(path, index)).tolist()
            tiles = _spread_tiles(lambda ordinal: tile_at(offsets[ordinal]), len(offsets), SHEET_IMAGES)
            drawn = draw_sheet(tiles, [file.path.name, _count_text(len(tiles), len(offsets), survey)])
    with AtomicFile(out, force=force) as sheet:
        sheet.write(drawn)


def _spread_tiles(read: Callable[[int], Tile | None], count: int, limit: int) -> list[Tile]:
    """Return up to *limit* tiles of evenly spaced records of *count*; those that *read* has none for are passed over.

    Each chosen record begins a stretch, which goes on to the next one. The first tile of each stretch is taken, and
    then, where some have none, further tiles of the others.
    """
    starts = evenly_spaced(count, limit)
    stretches = [iter(range(start, end)) for start, end in itertools.pairwise([*starts, count])]
    tiles: dict[int, Tile] = {}
    while stretches and len(tiles) < limit:
        others, stretches = stretches, []
        for stretch in others:
            for ordinal in itertools.islice(stretch, _MOST_PASSED_OVER if len(tiles) < limit else 0):
                if (tile := read(ordinal)) is not None:
                    tiles[ordinal] = tile
                    stretches.append(stretch)
                    break
    return [tiles[ordinal] for ordinal in sorted(tiles)]


def _count_text(shown: int, records: int, survey: Survey | None) -> str:
    """Say how many images are *shown*, of how many in how many classes."""
    if survey is None or shown > survey.images:  # some hold content that is no image
        return (
            f"{shown:,} of {counted(records, 'record')}, evenly spread"
            if shown < records
            else counted(records, "record")
        )
    images = counted(survey.images, "image")
    text = f"{shown:,} of {images}, evenly spread" if shown < survey.images else images
    classes = survey.class_statistics
    if classes is None or not classes.whole_numbers:
        return text
    return f"{text}, {counted(classes.count, 'class', 'classes')}"


def sheet_heading(row: SheetRow, names: ClassNames | None) -> str:
    """Return the text above a *row*: the identity, how many of its images are shown, and its name in *names*."""
    name = class_name(names, [row.label])
    images = counted(row.images, "image")
    shown = f"{len(row.offsets)} of {images}" if row.images > len(row.offsets) else images
    return f"identity {number_text(row.label)}, {shown}{f': {clipped(name, MAX_NAME)}' if name else ''}"


def _read_tile(file: InputFile, offset: int, names: ClassNames | None, max_pixels: int | None) -> Tile | None:
    """The tile of the record at *offset*; None if it holds no image or is damaged."""
    try:
        record = decode_image_record(read_record(file, offset)[0])
    except CorruptRecordError:
        return None
    return make_tile(record, names, max_pixels) if record.content else None


def make_tile(record: ImageRecord, names: ClassNames | None = None, max_pixels: int | None = None) -> Tile:
    """Return the tile of *record*: its decoded image, or the reason why it cannot be decoded.

    *names* are those of the classes. *max_pixels* limits the size of the image, as in
    :func:`~im2rec.images.codec.decode`.
    """
    header, content = record
    labels = labels_of(header)
    name = class_name(names, labels)
    lines = record_lines(header.id, labels, name)
    try:
        pixels = decode(content, COLOR, at_least=(CELL, CELL), max_pixels=max_pixels).pixels
    except ImageError as error:
        return Tile(None, error.reason, lines)
    return Tile(fitted(pixels), "", lines)
