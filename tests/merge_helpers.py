"""Small sets to merge, and what is in a merged one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import im2rec
from im2rec.format.insightface import range_frames
from im2rec.storage.writer import RecordWriter

Image = tuple[int, Any, bytes]  # key, label or labels, content


class Stored(NamedTuple):
    """A record: its key in the index, its id, its labels as a list, and its content."""

    key: int
    id: int
    labels: list[float]
    content: bytes


def a_set(
    path: Path,
    images: Iterable[Image],
    *,
    header: Sequence[int] | None = None,
    size: str = "",
    names: Sequence[str] = (),
) -> Path:
    """Write a set of *images* and return its path.

    *header* are the first keys of the identities, behind the images; *size* is the content of its property file, and
    *names* are the class names beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    images = list(images)
    with RecordWriter(path) as writer:
        for key, label, content in images:
            writer.write(im2rec.encode_image_record(im2rec.IRHeader(0, label, key), content), key=key)
        for key, frame in range_frames(header, len(images), len(header)) if header is not None else ():
            writer.write_frame(frame, key=key)
    if size:
        path.with_name("property").write_text(size)
    if names:
        path.with_suffix(".classes.txt").write_text("".join(f"{name}\n" for name in names))
    return path


def faces(path: Path, classes: Sequence[int], mark: bytes, **options: Any) -> Path:
    """Write a set with header of an image for each of *classes*, which are in runs; the contents begin with *mark*."""
    first = [key for key, label in enumerate(classes, 1) if key == 1 or label != classes[key - 2]]
    images = [(key, float(label), b"%s %d" % (mark, key)) for key, label in enumerate(classes, 1)]
    return a_set(path, images, header=first, **options)


def stored(path: Path) -> list[Stored]:
    """All records of a ``.rec`` in file order, with the keys of its index."""
    with im2rec.open(path) as rec:
        labels = [record.header.label for record in rec]
        as_lists = [[label] if isinstance(label, float) else label.tolist() for label in labels]
        return [
            Stored(key, record.header.id, numbers, record.content)
            for key, record, numbers in zip(rec.keys.tolist(), rec, as_lists, strict=True)
        ]


def images_of(path: Path) -> list[tuple[int, float, bytes]]:
    """Key, first label and content of the images; their ids must be the keys."""
    records = [record for record in stored(path) if record.content]
    assert [record.key for record in records] == [record.id for record in records]
    return [(record.key, record.labels[0], record.content) for record in records]


def table(path: Path) -> list[list[str]]:
    """The rows of a table with TABs, the names of the columns first."""
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
