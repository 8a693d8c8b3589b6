"""Pictures on their way out of a ``.rec``: read in bounded batches, named, and handed to a writer."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple

import numpy as np

from im2rec.extraction.resumable_folder import Done, Partial
from im2rec.extraction.selection import Chosen, Ordinals, ScannedFile, lost_as_text, short_float
from im2rec.format.irheader import ImageRecord
from im2rec.images.codec import EMPTY, NOT_AN_IMAGE, sniff

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
    """A picture: the record it comes from, its id (*doubled*: another one has it too), labels, and bytes.

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
        """Whether the content starts like a picture."""
        return self.kind not in (NOT_AN_IMAGE, EMPTY)

    @property
    def extension(self) -> str:
        """The suffix that goes with the content."""
        return EXTENSIONS.get(self.kind, NO_EXTENSION)

    def name(self, digits: int = 1) -> str:
        """The id in at least *digits* digits; a doubled one with the record's ordinal behind it."""
        return f"{self.id:0{digits}d}" + (f"-{self.ordinal}" if self.doubled else "")


class Writer:
    """What takes samples, in order: :meth:`add` each, :meth:`pause` after some, :meth:`finish`; ``close()`` always.

    ``done`` counts them, and is journalled in *place* whenever everything counted can be relied on.
    """

    def __init__(self, place: Partial) -> None:
        self.place = place
        self.done: Done = place.done

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

    def close(self) -> None:
        """Let go of what is open; again is fine."""

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_samples(rec: ScannedFile, chosen: Chosen, start: int) -> Iterator[list[Sample]]:
    """The chosen pictures from number *start* on, a bounded batch at a time. Raises CorruptRecordError."""
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
