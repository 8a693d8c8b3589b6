"""What published evaluation code makes trouble with in a list of pairs, each with its number and first line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from im2rec.errors import counted
from im2rec.format.pairlist import ListedPair, PairList
from im2rec.verification.doubles import find_doubles
from im2rec.verification.folds import FOLDS, fold_bounds
from im2rec.verification.pair_list import PairedImage

USUAL_KINDS = ("JPEG", "PNG")  # that every published reader takes


class _Place(NamedTuple):
    """An image of the list: the line that names it, and the image."""

    line: int
    image: PairedImage

    def __str__(self) -> str:
        return f"line {self.line}, {self.image.name}"


def warnings_of(listed: PairList, images: Sequence[PairedImage]) -> list[str]:
    """Return a sentence for each thing that is unusual in the pairs of *listed*, whose images in order are *images*."""
    lines = [line for pair in listed.pairs for line in (pair.first.line, pair.second.line)]
    places = list(map(_Place, lines, images))
    return [*_of_images(places), *_of_pairs(listed.pairs, images), *_of_folds(listed.pairs), *_of_head(listed)]


def size_text(image: PairedImage) -> str:
    """Return the size in pixels, as in ``112 x 112``: width, then height."""
    return f"{image.width} x {image.height}"


def _of_images(places: Sequence[_Place]) -> Iterator[str]:
    """Yield what is unusual in single images; an image of several pairs counts once."""
    distinct = list({place.image.path: place for place in reversed(places)}.values())[::-1]
    unusual = [place for place in distinct if place.image.kind not in USUAL_KINDS]
    if unusual:
        are = counted(len(unusual), "image is", "images are")
        yield f"{are} neither JPEG nor PNG, first in {unusual[0]} ({unusual[0].image.kind}): not all readers take them"
    sizes = Counter(size_text(place.image) for place in distinct)
    ((usual, _),) = sizes.most_common(1)
    others = [place for place in distinct if size_text(place.image) != usual]
    if others:
        first = f"first in {others[0]} ({size_text(others[0].image)})"
        problem = f"images have {len(sizes):,} sizes, mostly {usual}; {counted(len(others), 'differs', 'differ')}"
        yield f"{problem}, {first}: published readers scale them, and nothing here aligns them"
    oblong = [place for place in distinct if place.image.width != place.image.height]
    if oblong:
        are = counted(len(oblong), "image is", "images are")
        yield f"{are} not square, first in {oblong[0]} ({size_text(oblong[0].image)}): published readers expect squares"


def _of_pairs(pairs: Sequence[ListedPair], images: Sequence[PairedImage]) -> Iterator[str]:
    """Yield what is unusual in pairs. Images are the same if their contents are."""
    doubles = find_doubles([image.digest for image in images], [pair.same for pair in pairs])
    if doubles.with_itself:
        number = len(doubles.with_itself)
        pair_is = counted(number, "pair is of an image and itself", "pairs are of an image and itself")
        yield f"{pair_is}, first in line {pairs[doubles.with_itself[0]].first.line}"
    for repeats, how in ((doubles.again, "again"), (doubles.contrary, "again with the other answer")):
        if repeats:
            pair, earlier = (pairs[number] for number in repeats[0])
            lines = f"line {pair.first.line}, which repeats line {earlier.first.line}"
            yield f"{counted(len(repeats), 'pair is', 'pairs are')} there {how}, first in {lines}"


def _of_folds(pairs: Sequence[ListedPair]) -> Iterator[str]:
    if len(pairs) < FOLDS:
        yield f"{counted(len(pairs), 'pair is', 'pairs are')} too few for the ten folds of published evaluation"
        return
    if rest := len(pairs) % FOLDS:
        larger = "the first fold has" if rest == 1 else f"the first {rest} folds have"
        yield f"ten does not divide {len(pairs):,} pairs: {larger} one more"
    lacking = []
    for start, end in fold_bounds(len(pairs)):
        same = sum(pair.same for pair in pairs[start:end])
        if same in (0, end - start):
            lacking.append((pairs[start].first.line, pairs[end - 1].second.line, "different" if same else "same"))
    if lacking:
        first, last, kind = lacking[0]
        are = counted(len(lacking), "of the ten folds lacks", "of the ten folds lack")
        where = f"line {first}" if first == last else f"lines {first} to {last}"
        yield f"{are} one kind of pairs, first that of {where} (none {kind}): the order of the list makes the folds"


def _of_head(listed: PairList) -> Iterator[str]:
    if listed.head is None:
        return
    per_set, sets = listed.head
    same = sum(pair.same for pair in listed.pairs)
    if same != per_set * sets:
        said = f"{per_set * sets:,} pairs of each kind"
        yield f"the first line says {said}; {same:,} are the same, {len(listed.pairs) - same:,} different"
