"""Kinds of the contents of records, by their first bytes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from im2rec.format.heads import HEAD_BYTES
from im2rec.format.irheader import HEADER_BYTES
from im2rec.format.recordio import Source, read_start
from im2rec.images.signatures import EMPTY, NOT_AN_IMAGE, SIGNATURE_BYTES, sniff
from im2rec.inspection.labels import FRONT_LABELS, LABELS_START, not_finite
from im2rec.storage.blocks import FRONT_BYTES, RecordBlock

_HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying by it loses no bit of the first 8 bytes
_FRONTS_AT_ONCE = 1024  # of label vectors that are read, and in memory


def count_contents(
    file: Source,
    block: RecordBlock,
    flags: npt.NDArray[np.uint32],
    lengths: npt.NDArray[np.int64],
    odd: dict[int, float],
) -> tuple[Counter[str], list[int]]:
    """Count the contents of a block by their first bytes; return the rows of those that are no images, too.

    *lengths* is -1 for records too short to have any content.

    Label vectors that are too long for the first bytes of a record are read here; *odd* gets, by row, their first label
    that is not finite.
    """
    found: Counter[str] = Counter()
    no_images: list[int] = []
    found[EMPTY] += int(np.sum(lengths == 0))
    for flag in np.unique(flags[lengths > 0]):
        start = LABELS_START + 4 * int(flag)
        rows = np.flatnonzero((flags == flag) & (lengths > 0))
        if start + SIGNATURE_BYTES > FRONT_BYTES:
            skipped = start - HEAD_BYTES
            for some in np.array_split(rows, -(-len(rows) // _FRONTS_AT_ONCE)):
                fronts = [read_start(file, block.offsets[row], skipped + SIGNATURE_BYTES) for row in some]
                kinds = [sniff(front[skipped:]) for front in fronts]
                found.update(kinds)
                no_images += [int(row) for row, kind in zip(some, kinds, strict=True) if kind == NOT_AN_IMAGE]
                if flag > FRONT_LABELS:
                    vectors = np.frombuffer(b"".join(front[HEADER_BYTES:skipped] for front in fronts), "<f4")
                    odd.update(not_finite(some, vectors.reshape(len(some), -1)))
            continue
        long = rows[lengths[rows] >= SIGNATURE_BYTES]
        signatures = np.ascontiguousarray(block.fronts[long, start : start + SIGNATURE_BYTES])
        # np.unique is ten times faster over numbers than over rows of 12 bytes, so each row is hashed to one number.
        hashes = signatures[:, :8].copy().view("<u8") * _HASH_FACTOR + signatures[:, 8:].copy().view("<u4")
        distinct, first, counts = np.unique(hashes, return_index=True, return_counts=True)
        kinds = [sniff(signatures[row].tobytes()) for row in first]
        for kind, count in zip(kinds, counts, strict=True):
            found[kind] += int(count)
        if NOT_AN_IMAGE in kinds:
            odd_hashes = distinct[[kind == NOT_AN_IMAGE for kind in kinds]]
            no_images += long[np.isin(hashes[:, 0], odd_hashes)].tolist()
        for row in rows[lengths[rows] < SIGNATURE_BYTES]:
            kind = sniff(block.fronts[row, start : start + int(lengths[row])].tobytes())
            found[kind] += 1
            no_images += [int(row)] if kind == NOT_AN_IMAGE else []
    return +found, sorted(no_images)
