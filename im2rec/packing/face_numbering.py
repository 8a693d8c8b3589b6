"""The keys and classes of a face-recognition set, given to its images as they are packed, and what follows the images.

Bad images are left out, and only the process that writes knows which: keys and classes without gaps are therefore
given where records are written, in place of the ids and labels that the workers have put into them.
"""

from __future__ import annotations

import array
import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from im2rec.errors import counted
from im2rec.format.insightface import property_text, range_frames
from im2rec.format.listfile import ListEntry
from im2rec.format.mapfile import map_head, map_rows
from im2rec.format.relabel import relabelled
from im2rec.packing.face_lines import ClassRuns
from im2rec.packing.face_report import FaceSummary
from im2rec.packing.list_reader import Entry
from im2rec.packing.report import PackedChunk
from im2rec.storage.classes import classes_text

FIRST_KEY = 1  # of the images of a set with a header record, which has the key 0
_COLUMNS = ("label", "list_label", "images", "name")


class FaceNumbering:
    """Numbers the images of the chunks of a pack, in order, and describes the set that they make.

    *runs* are the classes of the list, *names* the class names beside it by label, or None. With *header* the keys
    begin at 1, and header record and identity records follow the images; otherwise they begin at 0. A class gets its
    line in the map of labels when its last image is packed.
    """

    def __init__(self, runs: ClassRuns, names: Sequence[str] | None, *, header: bool) -> None:
        self._runs, self._names, self.has_header = runs, names, header
        self._counts = array.array("q")  # of images, of the classes whose lines are in the map
        self._numbers = array.array("q")  # of these classes among those of the list
        self._current, self._in_current = -1, 0  # the class that is being packed, and its images so far
        self._images = 0
        self._size: tuple[int, int] | None = None  # height and width of the first image
        self._other_sizes = 0

    def number(self, chunk: PackedChunk, entries: Sequence[Entry]) -> PackedChunk:
        """Return *chunk*, the result of *entries*, with the final keys and classes, and the lines of the map."""
        packed = [entry for entry, bad in zip(entries, chunk.lines, strict=True) if bad is None]
        map_lines, frames = [], []
        for entry, (_, frame) in zip(packed, chunk.frames, strict=True):
            assert isinstance(entry, ListEntry)  # a line that cannot be read is bad
            if int(entry.labels[0]) != self._current:
                map_lines.append(self._end_class())
                self._current = int(entry.labels[0])
            key = self._images + FIRST_KEY * self.has_header
            frames.append((key, relabelled(frame, key, len(self._counts)) if frame else frame))
            self._in_current += 1
            self._images += 1
        self._measure(chunk.sizes)
        return dataclasses.replace(chunk, frames=frames, map_lines=b"".join(map_lines))

    def _measure(self, sizes: Counter[tuple[int, int]]) -> None:
        self._size = self._size or next(iter(sizes), None)
        self._other_sizes += sum(count for size, count in sizes.items() if size != self._size)

    def _end_class(self) -> bytes:
        """End the class that is being packed; return its line, with the head of the map before the first one."""
        if not self._in_current:
            return b""
        columns: list[Any] = [len(self._counts), int(self._runs.labels[self._current]), self._in_current]
        columns += [self._name(self._current)] if self._names else []
        lines = [] if self._counts else [map_head(_COLUMNS[: len(columns)])]
        lines += map_rows(*([column] for column in columns))
        self._counts.append(self._in_current)
        self._numbers.append(self._current)
        self._in_current = 0
        return b"".join(lines)

    def _name(self, number: int) -> str:
        assert self._names is not None
        return self._names[int(self._runs.labels[number])]

    def state(self) -> dict[str, Any]:
        """Return what :meth:`restore` needs besides the map, as JSON values."""
        current = [self._current, self._in_current]
        return {"current": current, "images": self._images, "size": self._size, "other_sizes": self._other_sizes}

    def restore(self, state: Mapping[str, Any], map_text: bytes) -> None:
        """Go on from *state*, when the map of labels had the content *map_text*."""
        self._current, self._in_current = state["current"]
        self._images, self._other_sizes = state["images"], state["other_sizes"]
        self._size = tuple(state["size"]) if state["size"] else None
        for line in map_text.splitlines()[1:]:
            _, label, count = line.split(b"\t")[:3]
            self._counts.append(int(count))
            self._numbers.append(int(np.searchsorted(self._runs.labels, int(label))))

    def end(self) -> bytes:
        """End the last class, when all chunks are numbered; return its lines of the map."""
        return self._end_class()

    def range_records(self) -> Iterable[tuple[int, bytes]]:
        """Return key and frame of the header record and of the identity records; none without header."""
        if not self.has_header:
            return ()
        return range_frames(self._first_keys(), self._images, len(self._counts))

    def _first_keys(self) -> Iterator[int]:
        key = FIRST_KEY
        for count in self._counts:
            yield key
            key += count

    def property_text(self) -> bytes:
        """Return the content of the property file."""
        height, width = self._size or (0, 0)
        return property_text(len(self._counts), height, width)

    def classes_text(self) -> bytes:
        """Return the names of the classes in their new order, one a line."""
        return classes_text([self._name(number) for number in self._numbers])

    def warnings(self) -> list[str]:
        """Return a line on images whose size differs."""
        if not self._other_sizes or self._size is None:
            return []
        images = counted(self._other_sizes, "image has", "images have")
        height, width = self._size
        return [f"{images} another size than the first, {height} x {width} (height x width), which property gives"]

    def summary(self, *, list_form: str, reordered: bool) -> FaceSummary:
        """Return what the set is, when :meth:`end` has been called; *list_form* and *reordered* are of the list."""
        counts = np.array(self._counts, np.int64)
        height, width = self._size or (None, None)
        return FaceSummary(
            list_form=list_form,
            reordered=reordered,
            identities=len(counts),
            identities_left_out=len(self._runs.labels) - len(counts),
            images_least=int(counts.min()) if len(counts) else None,
            images_median=float(np.median(counts)) if len(counts) else None,
            images_most=int(counts.max()) if len(counts) else None,
            has_header=self.has_header,
            height=height,
            width=width,
            other_sizes=self._other_sizes,
        )
