"""Problems that published evaluation has with a verification file or a list of pairs: each of them once.

Source: insightface recognition/arcface_torch/eval/verification.py: ``load_bin`` scales images whose width is not that
of the network by their shorter edge and expects a square afterwards; ``evaluate`` judges ten folds.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from im2rec.errors import counted
from im2rec.schema import described
from im2rec.verification.doubles import find_doubles
from im2rec.verification.folds import FOLDS, fold_bounds

USUAL_KINDS = ("JPEG", "PNG")  # that every published reader takes


@dataclasses.dataclass(frozen=True)
class BinProblem:
    """Something that published evaluation makes trouble with."""

    kind: str = described(
        "`kinds`, `sizes`, `not square`, `with itself`, `repeated`, `contrary`, `few pairs`, `uneven folds`, "
        "`one-sided folds` or `trailing bytes`."
    )
    count: int = described("Number of images, pairs, folds or bytes.")
    first: int | None = described("Number of the first image, pair or fold, from 0; null if there is none.")
    text: str = described("The problem in a sentence.")


class Sized(Protocol):
    """An image of known kind and size in pixels."""

    @property
    def kind(self) -> str:
        """The format: ``JPEG`` and so on."""

    @property
    def height(self) -> int:
        """Height in pixels."""

    @property
    def width(self) -> int:
        """Width in pixels."""


class Words(NamedTuple):
    """The names of places in problems: functions of the number of an image, and of a pair.

    *fold* is a function of three numbers: that of a fold, of its first pair and of its last one.
    """

    image: Callable[[int], str]
    pair: Callable[[int], str]
    fold: Callable[[int, int, int], str]


def size_text(width: int, height: int) -> str:
    """Return a size in pixels as it is written everywhere: ``112 x 112``."""
    return f"{width} x {height}"


def image_problems(images: Mapping[int, Sized], words: Words) -> Iterator[BinProblem]:
    """Yield what is unusual in *images*, each under its number."""
    unusual = [number for number, image in images.items() if image.kind not in USUAL_KINDS]
    if unusual:
        are = counted(len(unusual), "image is", "images are")
        first = f"first {words.image(unusual[0])} ({images[unusual[0]].kind})"
        text = f"{are} neither JPEG nor PNG, {first}: not all readers take them"
        yield BinProblem("kinds", len(unusual), unusual[0], text)
    if not images:
        return
    sizes = {number: size_text(image.width, image.height) for number, image in images.items()}
    counts = Counter(sizes.values())
    ((usual, _),) = counts.most_common(1)
    others = [number for number, size in sizes.items() if size != usual]
    if others:
        text = f"images have {len(counts):,} sizes, mostly {usual}; {counted(len(others), 'differs', 'differ')}"
        first = f"first {words.image(others[0])} ({sizes[others[0]]})"
        yield BinProblem(
            "sizes", len(others), others[0], f"{text}, {first}: published readers scale them, and align nothing"
        )
    oblong = [number for number, image in images.items() if image.width != image.height]
    if oblong:
        are = counted(len(oblong), "image is", "images are")
        first = f"first {words.image(oblong[0])} ({sizes[oblong[0]]})"
        text = f"{are} not square, {first}: published readers expect squares"
        yield BinProblem("not square", len(oblong), oblong[0], text)


def pair_problems(digests: Sequence[bytes], same: Sequence[bool], words: Words) -> Iterator[BinProblem]:
    """Yield what is unusual in the pairs whose images have the *digests*, two for each of *same*."""
    doubles = find_doubles(digests, same)
    if alone := doubles.with_itself:
        are = counted(len(alone), "pair is of an image and itself", "pairs are of an image and itself")
        yield BinProblem("with itself", len(alone), alone[0], f"{are}, first {words.pair(alone[0])}")
    for kind, repeated, how in (
        ("repeated", doubles.again, "again"),
        ("contrary", doubles.contrary, "again with the other answer"),
    ):
        if repeated:
            pair, earlier = repeated[0]
            text = f"{counted(len(repeated), 'pair is', 'pairs are')} there {how}, first {words.pair(pair)}"
            yield BinProblem(kind, len(repeated), pair, f"{text}, which repeats {words.pair(earlier)}")


def fold_problems(same: Sequence[bool], words: Words) -> Iterator[BinProblem]:
    """Yield what is unusual in the ten folds of pairs with the answers *same*."""
    if len(same) < FOLDS:
        are = counted(len(same), "pair is", "pairs are")
        yield BinProblem("few pairs", len(same), None, f"{are} too few for the ten folds of published evaluation")
        return
    if rest := len(same) % FOLDS:
        larger = "the first fold has" if rest == 1 else f"the first {rest} folds have"
        yield BinProblem("uneven folds", rest, 0, f"ten does not divide {len(same):,} pairs: {larger} one more")
    bounds = fold_bounds(len(same))
    lacking = [fold for fold, (start, end) in enumerate(bounds) if sum(same[start:end]) in (0, end - start)]
    if lacking:
        start, end = bounds[lacking[0]]
        are = counted(len(lacking), "of the ten folds lacks", "of the ten folds lack")
        none = "none different" if same[start] else "none the same"
        text = f"{are} one kind of pairs, first {words.fold(lacking[0], start, end - 1)}, with {none}"
        yield BinProblem("one-sided folds", len(lacking), lacking[0], f"{text}: their order decides")
