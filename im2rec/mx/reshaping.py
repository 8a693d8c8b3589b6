"""MXNet's codes in the argument of reshape: numbers up to 0 that stand for sizes of the old shape."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import NoReturn

from im2rec.errors import ParameterError

KEEP, INFER, REST, MERGE, SPLIT = 0, -1, -2, -3, -4


def inferred_shape(old: Sequence[int], codes: Sequence[int], *, reverse: bool = False) -> tuple[int, ...]:
    """Return the shape that *codes* mean for an array of shape *old*; one size may be left -1, for NumPy to infer.

    A positive code is a size. 0 keeps the old size at its place; -1 is inferred; -2 keeps all old sizes that are left;
    -3 is the product of the next two; -4 splits the next one into the two sizes after the code, one of which may be -1.
    Each code but -2 and -3 uses up one old size. With *reverse* codes and sizes are read from the right. Raises
    ParameterError for codes that do not fit.

    Source: mxnet src/operator/tensor/matrix_op-inl.h, ``InferReshapeShape``.
    """
    numbers = [operator.index(code) for code in codes]
    if reverse:
        return _inferred(tuple(old)[::-1], numbers[::-1], (old, codes))[::-1]
    return _inferred(tuple(old), numbers, (old, codes))


def _inferred(old: tuple[int, ...], codes: list[int], given: tuple[Sequence[int], Sequence[int]]) -> tuple[int, ...]:
    new: list[int] = []
    place, rest = 0, iter(codes)  # place: the first size of old that is not used up
    for code in rest:
        if code == REST:
            new += old[place:]
            place = len(old)
            continue
        used = 2 if code == MERGE else 1
        sizes = old[place : place + used]
        if code in (KEEP, MERGE, SPLIT) and len(sizes) < used:
            _refuse("they need more axes than it has", given)
        if code in (KEEP, MERGE):
            new.append(sizes[0] * (sizes[1] if code == MERGE else 1))
        elif code == SPLIT:
            new += _split(sizes[0], [next(rest, 0), next(rest, 0)], given)
        elif code == INFER or code > 0:
            new.append(code)
        else:
            _refuse(f"{code} is no code", given)
        place += used
    if new.count(INFER) > 1:
        _refuse("only one size can be inferred", given)
    return tuple(new)


def _split(size: int, parts: list[int], given: tuple[Sequence[int], Sequence[int]]) -> list[int]:
    known = [part for part in parts if part > 0]
    if not known or any(part < 1 and part != INFER for part in parts):
        _refuse("two sizes must follow -4, one of which may be -1", given)
    parts = [part if part > 0 else size // known[0] for part in parts]
    if parts[0] * parts[1] != size:
        _refuse(f"{size} is not {parts[0]} times {parts[1]}", given)
    return parts


def _refuse(problem: str, given: tuple[Sequence[int], Sequence[int]]) -> NoReturn:
    old, codes = (tuple(numbers) for numbers in given)
    raise ParameterError(f"an array of shape {old} cannot be reshaped by {codes}: {problem}")
