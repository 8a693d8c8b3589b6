"""Mutations of valid inputs: half of them damage any bytes, half are aimed at the fields that a parser trusts."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

LITTLE, BIG, TEXT, FIXED = "little", "big", "text", "fixed"
INTERESTING = (
    *(0, 1, 2, 3, 4, 7, 8, 16, 24, 31, 64, 100, 127, 128, 255, 256, 1000, 4095, 4096, 32767, 32768, 65535, 65536),
    *(2**24, 2**29 - 1, 2**29, 3 << 29, 2**30, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1),
)
# What stands for a number in text: out of range, of another type, in another spelling, or none at all.
NUMBER_WORDS = (
    *(b"", b"-", b"+1", b"-1", b"-0", b"00", b"0x10", b"1_000", b"1e5", b"1e400", b"-1e400", b"1e-400", b".", b".5"),
    *(b"5.", b"nan", b"-nan", b"inf", b"-Infinity", b"None", b"True", b"(3,4)", b"3,", b"\xd9\xa3", b"\xc2\xb2"),
    *(b"1" * 20, b"9" * 400, b"9" * 5000, b"0" * 5000 + b"1", b"1e" + b"9" * 30, b"0e" + b"9" * 30),
)
JSON_VALUES = (
    *(None, True, False, 0, 1, -1, 2, 7, 2**31, 2**63, 2**70, -(2**70), 10**300, 0.5, -0.0, 1e400, float("nan")),
    *("", "1", "a", "\u0000", "\ud800", [], {}, [[]], [0], [1, 2], [[1, 2]], [[1, 2], [3, 4]], [[[1, 2]]], {"a": 1}),
)
_MOST_CHUNK = 64  # bytes that are inserted, removed, doubled or swapped, mostly


class Field(NamedTuple):
    """A place in an input that a parser trusts: *size* bytes from *start* on, of a *kind*: a byte order, or text.

    The text of a ``FIXED`` field keeps its size.
    """

    start: int
    size: int
    kind: str = LITTLE


def number_fields(text: bytes) -> list[Field]:
    """Return a field for each number in *text*."""
    fields, start = [], None
    for at, byte in enumerate(text + b" "):
        is_digit = byte in b"0123456789+-."
        if is_digit and start is None:
            start = at
        elif not is_digit and start is not None:
            fields.append(Field(start, at - start, TEXT))
            start = None
    return fields


def mutated(
    rng: random.Random, seeds: Sequence[bytes], fields: Callable[[bytes], list[Field]], tokens: Sequence[bytes]
) -> bytes:
    """Return one of *seeds* after one to eight mutations; half of them are aimed at what *fields* finds in it."""
    data = bytearray(rng.choice(seeds))
    for _ in range(min(8, int(rng.expovariate(0.7)) + 1)):
        places = fields(bytes(data)) if rng.random() < 0.5 else []
        if places:
            _change_field(rng, data, rng.choice(places))
        elif tokens and rng.random() < 0.2:
            _put(rng, data, rng.choice(tokens))
        elif rng.random() < 0.1:
            _splice(rng, data, rng.choice(seeds))
        else:
            rng.choice(_ANYWHERE)(rng, data)
    return bytes(data)


def with_another_value(rng: random.Random, text: bytes) -> bytes:
    """Return the JSON *text* with a value replaced, removed or doubled, at any depth; *text* itself if it is none."""
    try:
        whole = [json.loads(text)]
    except (ValueError, RecursionError):
        return text
    holder: Any = whole
    key: Any = 0
    while isinstance(holder[key], (dict, list)) and holder[key] and rng.random() < 0.8:
        holder = holder[key]
        key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    kind = rng.random()
    if kind < 0.7 or holder is whole:
        holder[key] = rng.choice((*JSON_VALUES, [holder[key]], {"a": holder[key]}, [holder[key]] * 99))
    elif kind < 0.85:
        del holder[key]
    elif isinstance(holder, dict):
        holder[rng.choice(("", "more", "seed"))] = rng.choice(JSON_VALUES)
    else:
        holder.insert(key, holder[key])
    return json.dumps(whole[0]).encode()


def _change_field(rng: random.Random, data: bytearray, field: Field) -> None:
    """Give a field another value, or flip a bit of it; remove it or double it now and then."""
    start, end = field.start, field.start + field.size
    old = bytes(data[start:end])
    if rng.random() < 0.08:
        data[start:end] = rng.choice((b"", old * 2))
    elif field.kind in (TEXT, FIXED):
        word = rng.choice(NUMBER_WORDS) if rng.random() < 0.5 else b"%d" % _any_number(rng, len(data), 0)
        data[start:end] = word if field.kind == TEXT else word[: field.size].ljust(field.size, b"\0")
    elif rng.random() < 0.2:
        data[start + rng.randrange(field.size)] ^= 1 << rng.randrange(8)
    else:
        value = _any_number(rng, len(data), int.from_bytes(old, field.kind))  # type: ignore[arg-type]
        data[start:end] = (value % (1 << 8 * field.size)).to_bytes(field.size, field.kind)  # type: ignore[arg-type]


def _any_number(rng: random.Random, length: int, old: int) -> int:
    """Return a number that is often wrong in a way of its own: a border, near the old one or near the input's size."""
    near = rng.randrange(-9, 10)
    return rng.choice((rng.choice(INTERESTING), old + near, length + near, old * 2, -old, rng.getrandbits(32)))


def _flip_bits(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.randrange(1, 5)):
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set_bytes(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.randrange(1, 9)):
        if data:
            data[rng.randrange(len(data))] = rng.choice((0, 10, 32, 127, 128, 255, rng.randrange(256)))


def _set_number(rng: random.Random, data: bytearray) -> None:
    size = rng.choice((1, 2, 4, 8))
    at = rng.randrange(len(data) + 1)
    at -= at % size if rng.random() < 0.5 else 0
    value = rng.choice(INTERESTING) % (1 << 8 * size)
    data[at : at + size] = value.to_bytes(size, rng.choice((LITTLE, BIG)))  # type: ignore[arg-type]


def _cut(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _insert(rng: random.Random, data: bytearray) -> None:
    size = rng.randrange(1, _MOST_CHUNK)
    _put(rng, data, rng.choice((rng.randbytes(size), bytes(size), b"\xff" * size)))


def _remove(rng: random.Random, data: bytearray) -> None:
    start, end = _range(rng, data)
    del data[start:end]


def _double(rng: random.Random, data: bytearray) -> None:
    start, end = _range(rng, data)
    data[end:end] = data[start:end]


def _repeat(rng: random.Random, data: bytearray) -> None:
    """Repeat a few bytes thousands of times, as whatever takes time by the square of its input then takes long."""
    start, end = _range(rng, data)
    if start < end:
        data[end:end] = bytes(data[start:end]) * rng.choice((10, 100, 1000, (1 << 16) // (end - start)))


def _swap(rng: random.Random, data: bytearray) -> None:
    (a, b), (c, d) = sorted((_range(rng, data), _range(rng, data)))
    if b <= c:
        data[a:d] = data[c:d] + data[b:c] + data[a:b]


def _splice(rng: random.Random, data: bytearray, other: bytes) -> None:
    """Replace the end of *data* by that of another seed."""
    at = rng.randrange(len(data) + 1)
    data[at:] = other[at if rng.random() < 0.5 else rng.randrange(len(other) + 1) :]


def _put(rng: random.Random, data: bytearray, token: bytes) -> None:
    at = rng.randrange(len(data) + 1)
    data[at : at + rng.choice((0, len(token)))] = token


def _range(rng: random.Random, data: bytearray) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    size = rng.randrange(1, _MOST_CHUNK if rng.random() < 0.9 else len(data) + 2)
    return start, min(len(data), start + size)


_ANYWHERE = (_flip_bits, _set_bytes, _set_number, _cut, _insert, _remove, _double, _swap)
_ANYWHERE *= 4  # the one that makes inputs large is rarer
_ANYWHERE += (_repeat,)
