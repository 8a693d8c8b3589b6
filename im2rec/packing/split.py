"""Shares of a split, and the sizes of its lists by largest remainders: of all images, or class by class."""

from __future__ import annotations

import functools
import heapq
import itertools
import math
import operator
from collections.abc import Iterable, Iterator, Sequence

from im2rec.errors import ParameterError

_DIGITS = 6  # of the images in a share; what is smaller is an error of floating point
_TRAIN = 0  # the number of the share that training images come from
# Moves of equal loss: the loss, the order of the first, a serial number, and the orders of the others. Orders rise, and
# are numbers of classes: negative ones where the last class moves first. The heap never holds more than one of a group.
_Moves = tuple[float, int, int, Iterator[int]]
_FIRST_IMAGE = 8.0  # outweighs the remainders on any path of moves: no class lacks a training image for a fraction


def shares(split: Iterable[float]) -> tuple[float, ...]:
    """Return *split* as one to three shares that add up to 1; a single share below 1 is completed by the rest.

    Raises ParameterError for shares that do not add up to 1, lie outside 0 to 1, or are more than three.
    """
    given = tuple(split)
    shown = ",".join(f"{share:g}" for share in given)
    if not 1 <= len(given) <= 3:
        raise ParameterError(f"--split {shown} has {len(given)} values", hint="give one to three, as in 0.8,0.1,0.1")
    # Not "any share < 0 or share > 1", which is False for NaN.
    if not all(0 <= share <= 1 for share in given):
        raise ParameterError(f"--split {shown} must hold shares from 0 to 1")
    if len(given) == 1:
        return given if given[0] == 1 else (given[0], 1 - given[0])
    if not math.isclose(sum(given), 1, abs_tol=1e-6):
        raise ParameterError(f"--split {shown} adds up to {sum(given):g}, not to 1")
    return given


def split_sizes(count: int, split: Sequence[float]) -> list[int]:
    """Divide *count* by the shares *split*: sizes are rounded down or up, by largest remainder, and add up to *count*.

    Of equal remainders the one of the earlier share is rounded up. A share that gives a whole number is not rounded.
    """
    exact = _exact_sizes(count, split)
    sizes = [math.floor(value) for value in exact]
    for part in _largest(_remainders(exact))[: count - sum(sizes)]:
        sizes[part] += 1
    return sizes


def stratified_sizes(counts: Sequence[int], split: Sequence[float]) -> list[tuple[int, ...]]:
    """Divide each of *counts*, the sizes of the classes, by the shares *split*; the totals are as without classes.

    The result has the sizes for each class. Every size is rounded down or up, the sizes of a class add up to its
    count, and those of a list to what :func:`split_sizes` gives for all images together. Among all such roundings it
    is one in which as many classes as possible have an image in the first list, and then one that rounds up the largest
    remainders; of equal ones those of an earlier list and of an earlier class.
    """
    exact = {count: _exact_sizes(count, split) for count in set(counts)}
    floors = {count: tuple(math.floor(value) for value in row) for count, row in exact.items()}
    gains = {count: _gains(row) for count, row in exact.items()}
    first = {count: frozenset(_largest(gains[count])[: count - sum(row)]) for count, row in floors.items()}
    rounding = _Rounding(counts, gains, first)
    sums = [sum(column) for column in zip(*(floors[count] for count in counts), strict=True)]
    totals = split_sizes(sum(counts), split)
    rounding.balance([total - floor for total, floor in zip(totals, sums, strict=True)])

    @functools.cache
    def sizes(count: int, up: frozenset[int]) -> tuple[int, ...]:
        return tuple(size + (part in up) for part, size in enumerate(floors[count]))

    return list(map(sizes, counts, rounding.up))


def _exact_sizes(count: int, split: Sequence[float]) -> list[float]:
    # 0.7 has no exact binary form: without rounding, 0.7 of 10 would be 6 with a remainder of 0.999...
    return [round(count * share / sum(split), _DIGITS) for share in split]


def _remainders(exact: Sequence[float]) -> dict[int, float]:
    """Return the remainder of each size by its part; not those that are whole numbers: a share of 0 stays empty."""
    return {part: round(value % 1, _DIGITS) for part, value in enumerate(exact) if value % 1}


def _gains(exact: Sequence[float]) -> dict[int, float]:
    """Return the value of rounding up each size of a class, by its part: the remainder, and more for a first image."""
    gains = _remainders(exact)
    if 0 < exact[_TRAIN] < 1:
        gains[_TRAIN] += _FIRST_IMAGE
    return gains


def _largest(gains: dict[int, float]) -> list[int]:
    """Return the parts of *gains* by falling gain; of equal ones the earlier part first."""
    return sorted(gains, key=lambda part: (-gains[part], part))


@functools.cache
def _moved(up: frozenset[int], start: int, end: int) -> frozenset[int]:
    return up ^ {start, end}


class _Rounding:
    """The parts in which each class is rounded up, *up*, with the largest gains that the sizes of the lists allow.

    Each class is *first* rounded up where it gains most. Then, while a list is too long, one class moves its image from
    there to a list that is too short, directly or by a second class and the third list, at the least loss of gains:
    the successive shortest paths of a minimum cost flow, which end at the best of all roundings.

    Classes of one size share *gains* and *first*, which are given by size, and what is made of them: a set may have as
    many classes as images.
    """

    def __init__(
        self, counts: Sequence[int], gains: dict[int, dict[int, float]], first: dict[int, frozenset[int]]
    ) -> None:
        self._counts, self._gains, self._first = counts, gains, first
        self.up = [first[count] for count in counts]
        self._moves: dict[tuple[int, int], list[_Moves]] = {}
        self._serial = itertools.count()

    def balance(self, wanted: Sequence[int]) -> None:
        """Move images between the parts until *wanted* classes are rounded up in each."""
        parts = range(len(wanted))
        excess = [-number for number in wanted]
        for part in itertools.chain.from_iterable(self.up):
            excess[part] += 1
        # A path begins with the one or ends with the other; a list that is too short never becomes too long.
        pairs = itertools.permutations(parts, 2)
        self._moves = {(start, end): [] for start, end in pairs if excess[start] > 0 or excess[end] < 0}
        numbers: dict[int, list[int]] = {}
        for number, count in enumerate(self._counts):
            numbers.setdefault(count, []).append(number)
        for count, same in numbers.items():
            self._add_moves(count, self._first[count], same)
        while max(excess) > 0:
            paths = [
                path
                for start, end in itertools.permutations(parts, 2)
                if excess[start] > 0 > excess[end]
                for path in self._paths(start, end)
            ]
            if not paths:  # shares such as 0.3333333 are exact to six digits only: an image more or less in all
                return
            # Of equal losses the last lists are filled first, by the last classes.
            _, path = min(paths, key=lambda found: (found[0], [-part for part in found[1]]))
            for start, end in itertools.pairwise(path):
                self._move(start, end)
            excess[path[0]] -= 1
            excess[path[-1]] += 1

    def _paths(self, start: int, end: int) -> Iterator[tuple[float, tuple[int, ...]]]:
        """Yield the loss of gains, and the parts, of each way to move an image from *start* to *end*."""
        others = {part for pair in self._moves for part in pair} - {start, end}
        for path in ((start, end), *((start, other, end) for other in sorted(others))):
            losses = [self._least_loss(*pair) for pair in itertools.pairwise(path)]
            if None not in losses:
                yield round(math.fsum(loss for loss in losses if loss is not None), _DIGITS), path

    def _least_loss(self, start: int, end: int) -> float | None:
        """Return the least loss of one class that moves its image from *start* to *end*; None if no class can."""
        moves = self._moves[start, end]
        while moves and not _can_move(self.up[abs(moves[0][1])], start, end):
            loss, _, _, orders = heapq.heappop(moves)
            self._push_moves((start, end), loss, orders)
        return moves[0][0] if moves else None

    def _move(self, start: int, end: int) -> None:
        """Move the image of the class with the least loss; :meth:`_least_loss` has brought it to the front."""
        number = abs(self._moves[start, end][0][1])
        self.up[number] = _moved(self.up[number], start, end)
        self._add_moves(self._counts[number], self.up[number], [number])

    def _add_moves(self, count: int, up: frozenset[int], numbers: list[int]) -> None:
        """Add the moves of classes of size *count*, by rising *numbers*, that are all rounded up in the parts *up*."""
        gains = self._gains[count]
        for start, end in self._moves:
            if start in gains and end in gains and _can_move(up, start, end):
                loss = round(gains[start] - gains[end], _DIGITS)
                orders = map(operator.neg, reversed(numbers)) if start < end else iter(numbers)
                self._push_moves((start, end), loss, orders)

    def _push_moves(self, pair: tuple[int, int], loss: float, orders: Iterator[int]) -> None:
        if (order := next(orders, None)) is not None:
            heapq.heappush(self._moves[pair], (loss, order, next(self._serial), orders))


def _can_move(up: frozenset[int], start: int, end: int) -> bool:
    return start in up and end not in up
