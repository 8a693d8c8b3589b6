"""The content of a verification file: pairs, folds, images, doubles, and how it was written."""

from __future__ import annotations

import dataclasses
import os
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from im2rec.errors import ImageError, counted
from im2rec.images.codec import decode
from im2rec.images.sheet import CELL, Row, Tile, draw_rows, fitted
from im2rec.progress import Progress
from im2rec.schema import DRY_RUN, INPUT, Number, described, whole
from im2rec.storage.files import PathLike
from im2rec.storage.output import AtomicFile, refuse_existing, refuse_same_file
from im2rec.verification.bin_file import PairFile
from im2rec.verification.doubles import find_doubles
from im2rec.verification.folds import fold_bounds
from im2rec.verification.image_facts import ImageFacts, read_facts
from im2rec.verification.problems import size_text

_SHEET_PAIRS = 15  # of each kind
_MOST_PAIRS_A_ROW = 5


@dataclasses.dataclass
class FoldCount:
    """The pairs of one of the ten folds."""

    first: int = described("Number of its first pair, from 0.")
    pairs: int = described("Pairs.")
    same: int = described("Pairs of one person.")
    different: int = described("Pairs of two persons.")


@dataclasses.dataclass
class RepeatedPair:
    """A pair of the same two images as an earlier pair, in either order."""

    pair: int = described("Number of the pair, from 0.")
    earlier: int = described("Number of the first pair with the same images.")
    agrees: bool = described("Whether both give the same answer.")


@dataclasses.dataclass
class BinWritten:
    """How a verification file was written."""

    protocol: int = described("Protocol of the pickle, 0 to 5.")
    container: str = described("`tuple` or `list`: what holds images and answers.")
    images_as: dict[str, int] = described(
        "Images by how they are written: `bytes`, `str` (of Python 2), `bytearray`, `array (n,)`, `array (n, 1)`."
    )
    same_as: str = described("How the answers are written, as in `list of bool`.")
    names: list[str] = described("Names that the pickle asks for; none was imported.")
    trailing: int = described("Bytes behind the pickle, which no reader looks at.")


@dataclasses.dataclass
class BinListing:
    """The result of :func:`list_bin`, as ``--json`` prints it."""

    input: str = described(INPUT)
    bytes: int = described("Size of the file in bytes.")
    pairs: int = described("Pairs.")
    same: int = described("Pairs of one person.")
    different: int = described("Pairs of two persons.")
    folds: list[FoldCount] = described("The ten folds of published evaluation, in order.")
    images: int = described("Images: two for each pair.")
    distinct_images: int = described("Images of different contents.")
    kinds: dict[str, int] = described("Images by format.")
    sizes: dict[str, int] = described("Images by size in pixels in the header, as in `112 x 112`: width, then height.")
    unreadable: int = described("Images whose header cannot be read.")
    first_unreadable_image: int | None = described(
        "Number of the first of these, from 0: pair i has the images 2i and 2i + 1."
    )
    smallest: int = described("Bytes of the smallest image.")
    median: Number = described("Median of the bytes of an image.")
    largest: int = described("Bytes of the largest image.")
    with_itself: list[int] = described("Pairs of an image and itself, by number from 0.")
    repeated: list[RepeatedPair] = described("Pairs of the same two images as an earlier one.")
    written_as: BinWritten = described("How the file was written.")
    sheet: str | None = described("Path of the sheet of pairs that was drawn, or would be.")
    dry_run: bool = described(DRY_RUN)


def list_bin(
    path: PathLike,
    *,
    sheet: PathLike | None = None,
    force: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> BinListing:
    """Count what the verification file at *path* holds, from the headers of its images.

    With *sheet* a PNG file is drawn of up to fifteen pairs of one person, and below them of two persons; unless
    *dry_run*, in which nothing is written. *progress* is called with the number of images done and their share. Raises
    InputError for whatever is no verification file, OutputError if *sheet* exists, unless *force*, or is that file.
    """
    if sheet is not None:
        refuse_existing([Path(sheet)], force=force)
    with PairFile(path) as pairs:
        if sheet is not None:
            refuse_same_file(sheet, path)
        facts = read_facts(pairs, decoded=False, progress=progress)
        if sheet is not None and not dry_run:
            with AtomicFile(sheet, force=force) as file:
                file.write(_drawn(pairs, facts))
        return _listing(pairs, facts, path, None if sheet is None else os.fspath(sheet), dry_run=dry_run)


def count_folds(same: Sequence[bool]) -> list[FoldCount]:
    """Return the counts of the ten folds."""
    folds = []
    for start, end in fold_bounds(len(same)):
        count = sum(same[start:end])
        folds.append(FoldCount(start, end - start, count, end - start - count))
    return folds


def count_sizes(facts: Sequence[ImageFacts]) -> Counter[str]:
    """Return the numbers of images by their size in pixels."""
    return Counter(size_text(each.width, each.height) for each in facts if each.width)


def _listing(
    pairs: PairFile, facts: Sequence[ImageFacts], path: PathLike, sheet: str | None, *, dry_run: bool
) -> BinListing:
    found, sizes = pairs.found, [each.nbytes for each in facts]
    doubles = find_doubles([each.digest for each in facts], found.same)
    unreadable = [number for number, each in enumerate(facts) if not each.width]
    repeated = [RepeatedPair(*each, agrees=True) for each in doubles.again]
    repeated += [RepeatedPair(*each, agrees=False) for each in doubles.contrary]
    return BinListing(
        input=os.fspath(path),
        bytes=pairs.nbytes,
        pairs=len(pairs),
        same=sum(found.same),
        different=len(pairs) - sum(found.same),
        folds=count_folds(found.same),
        images=len(facts),
        distinct_images=len({each.digest for each in facts}),
        kinds=dict(Counter(each.kind for each in facts).most_common()),
        sizes=dict(count_sizes(facts).most_common()),
        unreadable=len(unreadable),
        first_unreadable_image=unreadable[0] if unreadable else None,
        smallest=min(sizes),
        median=whole(float(statistics.median(sizes))),
        largest=max(sizes),
        with_itself=doubles.with_itself,
        repeated=sorted(repeated, key=lambda each: each.pair),
        written_as=BinWritten(
            found.protocol,
            found.container,
            found.images_as,
            found.same_as,
            [".".join(name) for name in found.names],
            found.trailing,
        ),
        sheet=sheet,
        dry_run=dry_run,
    )


# The sheet.


def _drawn(pairs: PairFile, facts: Sequence[ImageFacts]) -> bytes:
    """Draw pairs of one person in the upper half of a sheet, of two persons in the lower half; return a PNG file."""
    rows: list[Row] = []
    for is_same, who in ((True, "same person"), (False, "different persons")):
        numbers = [number for number, flag in enumerate(pairs.found.same) if flag == is_same]
        if chosen := _spread_out(numbers, _SHEET_PAIRS):
            tiles = [_tile(pairs, facts, 2 * number + at) for number in chosen for at in (0, 1)]
            rows.append((f"{who}: {_count_text(len(chosen), len(numbers))}", tiles))
    shown = [len(tiles) // 2 for _, tiles in rows]
    title = [pairs.path.name, _count_text(sum(shown), len(pairs))]
    return draw_rows(rows, title, columns=2 * _pairs_a_row(shown), together=2)


def _spread_out(numbers: Sequence[int], most: int) -> Sequence[int]:
    """Return *most* of *numbers*, evenly spaced, or all if they are no more."""
    return [numbers[at * len(numbers) // most] for at in range(most)] if len(numbers) > most else numbers


def _pairs_a_row(counts: Sequence[int]) -> int:
    """Return how many pairs, 3 to 5, are in a row, so that the fewest places in the last row of each kind are empty."""
    return min(range(_MOST_PAIRS_A_ROW, 2, -1), key=lambda pairs: sum(-count % pairs for count in counts))


def _count_text(shown: int, pairs: int) -> str:
    return f"{shown:,} of {counted(pairs, 'pair')}, evenly spread" if shown < pairs else counted(pairs, "pair")


def _tile(pairs: PairFile, facts: Sequence[ImageFacts], image: int) -> Tile:
    lines = (f"pair {image // 2}", size_text(facts[image].width, facts[image].height))
    try:
        return Tile(fitted(decode(pairs.content(image), at_least=(CELL, CELL)).pixels), "", lines)
    except ImageError as error:
        return Tile(None, error.reason, lines)
