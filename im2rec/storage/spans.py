"""Byte ranges of records, and which of them are read together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class RecordSpan(NamedTuple):
    """The byte range of one record, *start* to *stop*: up to the next one in the index; that of the last is exact."""

    ordinal: int
    start: int
    stop: int

    @property
    def nbytes(self) -> int:
        """Bytes in the span."""
        return self.stop - self.start


def group_nearby(spans: Iterable[RecordSpan], *, gap: int, max_bytes: int) -> Iterator[list[RecordSpan]]:
    """Group ascending *spans* for one read each: at most *gap* bytes between neighbours, *max_bytes* from end to end.

    A single span may be longer than *max_bytes*.
    """
    run: list[RecordSpan] = []
    for span in spans:
        if run and (not -1 < span.start - run[-1].stop <= gap or span.stop - run[0].start > max_bytes):
            yield run
            run = []
        run.append(span)
    if run:
        yield run
