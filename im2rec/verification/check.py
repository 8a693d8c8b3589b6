"""What published evaluation makes trouble with in a verification file: each problem once, with its first place.

Source: insightface recognition/arcface_torch/eval/verification.py: ``load_bin`` scales images whose width is not that
of the network by their shorter edge and expects a square afterwards; ``evaluate`` judges ten folds.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from im2rec.errors import counted
from im2rec.schema import INPUT, described
from im2rec.storage.files import PathLike
from im2rec.verification.bin_file import PairFile
from im2rec.verification.doubles import Doubles, find_doubles
from im2rec.verification.folds import FOLDS
from im2rec.verification.image_facts import ImageFacts, Progress, read_facts
from im2rec.verification.listing import count_folds, count_sizes, size_text

USUAL_KINDS = ("JPEG", "PNG")  # that every published reader takes
_SIDES = ("first", "second")


@dataclasses.dataclass(frozen=True)
class BinFailure:
    """An image that cannot be decoded."""

    image: int = described("Number of the image, from 0: pair i has the images 2i and 2i + 1.")
    pair: int = described("Number of its pair, from 0.")
    side: str = described("`first` or `second`: which image of the pair it is.")
    reason: str = described("Reason, one of a fixed set of phrases.")
    detail: str = described("Reason in a sentence.")


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


@dataclasses.dataclass
class BinCheck:
    """The result of :func:`verify_bin`, as ``--json`` prints it."""

    input: str = described(INPUT)
    pairs: int = described("Pairs.")
    images: int = described("Images: two for each pair.")
    decoded: int = described("Images that were decoded; one that is used several times counts each time.")
    failures: list[BinFailure] = described("Images that cannot be decoded.")
    flaws: dict[str, int] = described("Decoded images by harmless flaw.")
    sizes: dict[str, int] = described("Decoded images by size in pixels, as in `112 x 112`: width, then height.")
    problems: list[BinProblem] = described("What published evaluation makes trouble with.")


def verify_bin(
    path: PathLike, *, workers: int | None = None, max_pixels: int | None = None, progress: Progress | None = None
) -> BinCheck:
    """Decode every image of the verification file at *path*, one at a time, and check its pairs and folds.

    It is done in *workers* processes (default: all CPUs; in this one if there are few images). *max_pixels* limits the
    size of an image, as in :func:`~im2rec.images.codec.decode`. *progress* is called with the number of images done and
    their share. Raises InputError for whatever is no verification file, WorkerDiedError.
    """
    with PairFile(path) as pairs:
        facts = read_facts(pairs, decoded=True, workers=workers, max_pixels=max_pixels, progress=progress)
        found = pairs.found
    failures = [
        BinFailure(number, number // 2, _SIDES[number % 2], each.reason, each.detail)
        for number, each in enumerate(facts)
        if each.reason
    ]
    doubles = find_doubles([each.digest for each in facts], found.same)
    return BinCheck(
        input=os.fspath(path),
        pairs=len(found.same),
        images=len(facts),
        decoded=len(facts) - len(failures),
        failures=failures,
        flaws=dict(Counter(each.flaw for each in facts if each.flaw).most_common()),
        sizes=dict(count_sizes(facts).most_common()),
        problems=[*_of_images(facts), *_of_pairs(doubles), *_of_folds(found.same), *_of_end(found.trailing)],
    )


def image_words(image: int) -> str:
    """Return which image this number means: ``pair 3, second image``."""
    return f"pair {image // 2:,}, {_SIDES[image % 2]} image"


def _of_images(facts: Sequence[ImageFacts]) -> Iterator[BinProblem]:
    decoded = [(number, each) for number, each in enumerate(facts) if not each.reason]
    unusual = [(number, each) for number, each in decoded if each.kind not in USUAL_KINDS]
    if unusual:
        number, first = unusual[0]
        are = counted(len(unusual), "image is", "images are")
        text = f"{are} neither JPEG nor PNG, first {image_words(number)} ({first.kind}): not all readers take them"
        yield BinProblem("kinds", len(unusual), number, text)
    if not decoded:
        return
    sizes = count_sizes(facts)
    ((usual, _),) = sizes.most_common(1)
    others = [(number, each) for number, each in decoded if size_text(each.width, each.height) != usual]
    if others:
        text = f"images have {len(sizes):,} sizes, mostly {usual}; {counted(len(others), 'differs', 'differ')}"
        text += f", first {_sized(*others[0])}: published readers scale them, and align nothing"
        yield BinProblem("sizes", len(others), others[0][0], text)
    oblong = [(number, each) for number, each in decoded if each.width != each.height]
    if oblong:
        are = counted(len(oblong), "image is", "images are")
        text = f"{are} not square, first {_sized(*oblong[0])}: published readers expect squares"
        yield BinProblem("not square", len(oblong), oblong[0][0], text)


def _sized(number: int, image: ImageFacts) -> str:
    return f"{image_words(number)} ({size_text(image.width, image.height)})"


def _of_pairs(doubles: Doubles) -> Iterator[BinProblem]:
    if alone := doubles.with_itself:
        are = counted(len(alone), "pair is of an image and itself", "pairs are of an image and itself")
        yield BinProblem("with itself", len(alone), alone[0], f"{are}, first pair {alone[0]:,}")
    for kind, repeated, how in (
        ("repeated", doubles.again, "again"),
        ("contrary", doubles.contrary, "again with the other answer"),
    ):
        if repeated:
            pair, earlier = repeated[0]
            text = f"{counted(len(repeated), 'pair is', 'pairs are')} there {how}, first pair {pair:,}"
            yield BinProblem(kind, len(repeated), pair, f"{text}, which repeats pair {earlier:,}")


def _of_folds(same: Sequence[bool]) -> Iterator[BinProblem]:
    if len(same) < FOLDS:
        are = counted(len(same), "pair is", "pairs are")
        yield BinProblem("few pairs", len(same), None, f"{are} too few for the ten folds of published evaluation")
        return
    if rest := len(same) % FOLDS:
        larger = "the first fold has" if rest == 1 else f"the first {rest} folds have"
        text = f"ten does not divide {len(same):,} pairs: {larger} one more"
        yield BinProblem("uneven folds", rest, 0, text)
    lacking = [(number, fold) for number, fold in enumerate(count_folds(same)) if not (fold.same and fold.different)]
    if lacking:
        number, fold = lacking[0]
        are = counted(len(lacking), "of the ten folds lacks", "of the ten folds lack")
        none = "none different" if fold.same else "none the same"
        text = f"{are} one kind of pairs, first fold {number} (pairs {fold.first:,} to {fold.first + fold.pairs - 1:,})"
        yield BinProblem("one-sided folds", len(lacking), number, f"{text}, with {none}: their order decides")


def _of_end(trailing: int) -> Iterator[BinProblem]:
    if trailing:
        text = f"{counted(trailing, 'byte follows', 'bytes follow')} the pickle, which no reader looks at"
        yield BinProblem("trailing bytes", trailing, None, text)


def named_reasons(failures: Sequence[BinFailure]) -> dict[str, int]:
    """Return the numbers of *failures* by reason, the most frequent first."""
    return dict(Counter[Any](each.reason for each in failures).most_common())
