"""Warnings of what published evaluation makes trouble with in a list of pairs, each with its number and first line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from im2rec.format.pairlist import PairList
from im2rec.verification.pair_list import PairedImage
from im2rec.verification.problems import Words, fold_problems, image_problems, pair_problems


def warnings_of(listed: PairList, images: Sequence[PairedImage]) -> list[str]:
    """Return a sentence for each thing that is unusual in the pairs of *listed*, whose images in order are *images*."""
    pairs = listed.pairs
    lines = [line for pair in pairs for line in (pair.first.line, pair.second.line)]
    words = Words(
        lambda image: f"line {lines[image]}, {images[image].name}",
        lambda pair: f"line {lines[2 * pair]}",
        lambda _fold, first, last: f"that of {_range(lines[2 * first], lines[2 * last + 1])}",
    )
    same = [pair.same for pair in pairs]
    numbers = {image.path: number for number, image in reversed([*enumerate(images)])}  # the first of each file
    distinct = {number: images[number] for number in sorted(numbers.values())}
    problems = [
        *image_problems(distinct, words),
        *pair_problems([image.digest for image in images], same, words),
        *fold_problems(same, words),
    ]
    return [*(problem.text for problem in problems), *_of_head(listed)]


def _range(first: int, last: int) -> str:
    return f"line {first}" if first == last else f"lines {first} to {last}"


def _of_head(listed: PairList) -> Iterator[str]:
    if listed.head is None:
        return
    per_set, sets = listed.head
    same = sum(pair.same for pair in listed.pairs)
    if same != per_set * sets:
        said = f"{per_set * sets:,} pairs of each kind"
        yield f"the first line says {said}; {same:,} are the same, {len(listed.pairs) - same:,} different"
