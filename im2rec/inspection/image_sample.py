"""Images of a ``.rec``, evenly spread: what their headers say, and a contact sheet with id and label under each."""

from __future__ import annotations

import array
from collections import Counter
from collections.abc import Iterable

from im2rec.errors import CorruptRecordError, ImageError
from im2rec.format.irheader import HEADER_BYTES, ImageRecord, decode_image_record
from im2rec.format.recordio import Source, read_record, read_start
from im2rec.images import jpeg
from im2rec.images.codec import COLOR, EMPTY, NOT_AN_IMAGE, ImageInfo, decode, image_info, orientation, sniff
from im2rec.images.jpeg import UPRIGHT
from im2rec.images.sheet import CELL, Tile, draw_sheet, fitted, labels_text
from im2rec.inspection.report import ImageStatistics, spread
from im2rec.storage.files import AtomicFile, InputFile, PathLike
from im2rec.storage.scan import check_kind, whole_records

SAMPLE = 1000  # images whose size is looked up, spread over the file
_HEADER_READS = (4096, 1 << 16, 1 << 29)  # an image's size usually stands in its first kilobytes


def image_statistics(source: Source, records: Iterable[tuple[int, int, int]]) -> ImageStatistics:
    """Sizes, channels and more of the images in *records*: (ordinal, offset, number of labels in the vector)."""
    widths, heights, qualities, unreadable, first = [], [], [], 0, None
    channels: Counter[int] = Counter()
    turns: Counter[int] = Counter()
    for ordinal, offset, flag in records:
        try:
            found = _look(source, offset, flag)
        except ImageError as error:
            unreadable += 1
            first = first or f"record {ordinal}, {error}"
            continue
        if found is not None:
            info, content = found
            widths.append(info.width)
            heights.append(info.height)
            channels[info.channels] += 1
            turns[orientation(content)] += 1
            qualities += [quality] if info.kind == "JPEG" and (quality := jpeg.estimated_quality(content)) else []
    del turns[UPRIGHT]
    return ImageStatistics(
        looked_at=len(widths) + unreadable,
        width=spread(widths) if widths else None,
        height=spread(heights) if heights else None,
        channels=dict(channels.most_common()),
        unreadable=unreadable,
        first_unreadable=first,
        jpeg_quality=spread(qualities) if qualities else None,
        orientations=dict(sorted(turns.items())),
    )


def _look(source: Source, offset: int, flag: int) -> tuple[ImageInfo, bytes] | None:
    """What the image header of the record at *offset* says, and as much of the image as was read for that.

    None for a record without an image. Raises ImageError when the content starts like one, but its header cannot be
    read.
    """
    start = HEADER_BYTES + 4 * flag
    for wanted in _HEADER_READS:
        content = read_start(source, offset, start + wanted)[start:]
        if sniff(content) in (EMPTY, NOT_AN_IMAGE):
            return None
        try:
            return image_info(content), content
        except ImageError:
            if len(content) < wanted:  # the image has no more
                raise
    return None


def sample(count: int, wanted: int = SAMPLE) -> list[int]:
    """Up to *wanted* of *count* ordinals, evenly spread, first and last among them."""
    if count <= wanted:
        return list(range(count))
    return [step * (count - 1) // (wanted - 1) for step in range(wanted)]


IMAGES = 60  # ten in a row, six rows: every one still tells what it shows


def write_sheet(path: PathLike, out: PathLike, *, force: bool = False) -> None:
    """Draw a sheet of the ``.rec`` at *path*, damaged or not, into the PNG file *out*.

    Raises InputError, OutputError when *out* exists and *force* is not given.
    """
    with InputFile(path) as file:
        check_kind(file)
        offsets = array.array("q", whole_records(file))
        tiles = [shown for ordinal in sample(len(offsets), IMAGES) if (shown := _tile_at(file, offsets[ordinal]))]
        title = f"{file.path.name}: {len(tiles):,} of {len(offsets):,} records, evenly spread"
    with AtomicFile(out, force=force) as sheet:
        sheet.write(draw_sheet(tiles, title))


def _tile_at(file: InputFile, offset: int) -> Tile | None:
    """The tile of the record at *offset*; None where there is no image to show."""
    try:
        record = decode_image_record(read_record(file, offset)[0])
    except CorruptRecordError:
        return None
    return tile(record) if record.content else None


def tile(record: ImageRecord) -> Tile:
    """What the sheet shows for *record*; an image that cannot be decoded is shown as such."""
    header, content = record
    labels = [header.label] if header.flag == 0 else list(header.label)
    lines = (f"id {header.id}", f"{'label' if len(labels) == 1 else 'labels'} {labels_text(labels)}")
    try:
        height_width_3 = decode(content, COLOR, at_least=(CELL, CELL)).pixels
    except ImageError as error:
        return Tile(None, error.reason, lines)
    return Tile(fitted(height_width_3), "", lines)
