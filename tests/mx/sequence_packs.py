"""Scenes of random sequences: packing of headers with labels of every kind, and unpacking."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from mx.sequence_story import Name, Story


def a_label(story: Story) -> Any:
    """Return a label of any kind that ``pack`` takes."""
    numbers = [story.number(-5, 300), story.number(0, 10**6) / 8, 0.1, -0.0, float("nan"), float("inf"), True]
    width = story.number(1, 5)
    vector = [story.number(-9, 90) / 4 for _ in range(width)]
    scalars = [np.float32(1.3), np.float64(0.1), np.int64(7), np.float16(2.5), 2**24 + 1, 2**70, 1e39, -1e39]
    vectors = [
        vector,
        tuple(vector),
        np.array(vector),
        np.array(vector, np.float32),
        np.arange(width),
        np.arange(2 * width).reshape(2, width),
        np.asfortranarray(np.arange(2 * width).reshape(2, width)),
        np.array(3.5),
        np.bool_(True),
        "2.5",
        None,
        [],
        [1e39],
        ["1", "2"],
    ]
    return story.one([*numbers, *scalars, *vectors])


def an_id(story: Story) -> Any:
    return story.one([0, 1, story.number(0, 2**31), story.number(2**32, 2**64 - 1), 2**64 - 1, np.int64(5), True])


def packed_as_vector(label: Any) -> bool:
    """Say whether ``pack`` writes *label* behind the header: all but Python's and numpy's numbers, and empty lists."""
    return not isinstance(label, numbers.Number) and np.size(label) > 0


def packing(story: Story) -> None:
    """Pack headers with every kind of label, unpack them, and look at the label."""
    for _ in range(story.number(2, 4)):
        label = a_label(story)
        header = story.call(
            "recordio.IRHeader",
            story.one([0, 0, 2, 7]),
            label,
            an_id(story),
            story.one([0, 0, 1]),
            name=story.new("header"),
        )
        content = story.one([b"", story.data(story.number(1, 50)), story.payload()])
        packed = story.call("recordio.pack", header, content, name=story.new("packed"))
        unpacked = story.call("recordio.unpack", packed, name=story.new("unpacked"))
        story.call("python.attribute", Name(unpacked.name, (0,)), "label")
        if packed_as_vector(label):
            with np.errstate(over="ignore"):
                first = np.asarray(label, np.float32).ravel()[0]
            # With numpy.float32, torch.tensor(label[0], dtype=torch.long) of today's torch fails.
            ours = f"float64 {float(first)!r}"
            story.call("python.item", Name(unpacked.name, (0, 1)), 0, differs="label item", ours=ours)
            story.call("python.item", Name(unpacked.name, (0, 1)), slice(0, 2))


def refused_packs(story: Story) -> None:
    """Pack and unpack what cannot be."""
    good = (0, 1.5, 3, 0)
    bad = [
        ((0, 1j, 3, 0), b""),
        ((0, "x", 3, 0), b""),
        ((0, [[1], [2, 3]], 3, 0), b""),
        ((0, 1, 2**64, 0), b""),
        ((0, 1, -1, 0), b""),
        ((0, 1, 1.5, 0), b""),
        ((0, 1, "1", 0), b""),
        ((0, 1, None, 0), b""),
        ((0, 1, 0, 2**64), b""),
        ((0, 1, 0, -1), b""),
        (good, "text"),
        (good, None),
        ((0, [1, 2], 3, 0), "text"),
    ]
    for header, content in story.some(bad, low=1, high=3):
        story.call("recordio.pack", header, content)
    for payload in story.some([b"", b"x" * 23, b"\2" + bytes(23) + b"1234", "s" * 30, None], low=1, high=2):
        story.call("recordio.unpack", payload)
    story.call("recordio.unpack", b"\1" + bytes(23) + story.data(4) + story.data(story.number(0, 9)))
    story.call("recordio.unpack", story.one([bytes(24), bytearray(26)]))


pack_scenes = [packing, packing, refused_packs]
