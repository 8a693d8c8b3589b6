"""Decode all images of a verification file, and find what published evaluation makes trouble with."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from im2rec.errors import counted
from im2rec.progress import Progress
from im2rec.schema import INPUT, described
from im2rec.storage.files import PathLike
from im2rec.verification.bin_file import PairFile
from im2rec.verification.image_facts import read_facts
from im2rec.verification.listing import count_sizes
from im2rec.verification.problems import BinProblem, Words, fold_problems, image_problems, pair_problems

_SIDES = ("first", "second")


@dataclasses.dataclass(frozen=True)
class BinFailure:
    """An image that cannot be decoded."""

    number: int = described("Number of the image, from 0: pair i has the images 2i and 2i + 1.")
    pair: int = described("Number of its pair, from 0.")
    side: str = described("`first` or `second`: which image of the pair it is.")
    reason: str = described("Reason, one of a fixed set of phrases.")
    detail: str = described("Reason in a sentence.")


@dataclasses.dataclass
class BinCheck:
    """The result of :func:`verify_bin`, as ``--json`` prints it."""

    input: str = described(INPUT)
    pairs: int = described("Pairs.")
    images: int = described("Images: two for each pair.")
    decoded: int = described("Images that were decoded; one that is used several times counts each time.")
    undecodable: list[BinFailure] = described("Images that cannot be decoded.")
    flaws: dict[str, int] = described("Decoded images by harmless flaw.")
    sizes: dict[str, int] = described("Decoded images by size in pixels, as in `112 x 112`: width, then height.")
    findings: list[BinProblem] = described("What published evaluation makes trouble with.")


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
    decoded = {number: each for number, each in enumerate(facts) if not each.reason}
    problems = [
        *image_problems(decoded, _WORDS),
        *pair_problems([each.digest for each in facts], found.same, _WORDS),
        *fold_problems(found.same, _WORDS),
        *_of_end(found.trailing),
    ]
    return BinCheck(
        input=os.fspath(path),
        pairs=len(found.same),
        images=len(facts),
        decoded=len(decoded),
        undecodable=failures,
        flaws=dict(Counter(each.flaw for each in facts if each.flaw).most_common()),
        sizes=dict(count_sizes(facts).most_common()),
        findings=problems,
    )


def image_words(image: int) -> str:
    """Return which image this number means: ``pair 3, second image``."""
    return f"pair {image // 2:,}, {_SIDES[image % 2]} image"


_WORDS = Words(
    image_words, lambda pair: f"pair {pair:,}", lambda fold, first, last: f"fold {fold} (pairs {first:,} to {last:,})"
)


def _of_end(trailing: int) -> Iterator[BinProblem]:
    if trailing:
        text = f"{counted(trailing, 'byte follows', 'bytes follow')} the pickle, which no reader looks at"
        yield BinProblem("trailing bytes", trailing, None, text)


def named_reasons(failures: Sequence[BinFailure]) -> dict[str, int]:
    """Return the numbers of *failures* by reason, the most frequent first."""
    return dict(Counter[Any](each.reason for each in failures).most_common())
