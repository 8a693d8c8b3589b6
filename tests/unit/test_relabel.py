"""New ids and labels in frames: the result is the frame of the payload that has them."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest

from im2rec.format.heads import MAGIC
from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.format.recordio import encode_record
from im2rec.format.relabel import relabelled

# As id, low or high word, and as label: words that are the magic, or that hold it in part.
WORDS = [0, 1, 2**24, int.from_bytes(MAGIC, "little"), int.from_bytes(MAGIC[2:] + MAGIC[:2], "little"), 2**32 - 1]
IDS = [low | high << 32 for low in WORDS for high in WORDS]
(MAGIC_LABEL,) = struct.unpack("<f", MAGIC)
LABELS = [0.0, 7.0, 16_777_216.0, MAGIC_LABEL]


def frame_of(id_: int, labels: list[float], content: bytes, *, vector: bool) -> bytes:
    label = np.array(labels, np.float32) if vector else labels[0]
    return encode_record(encode_image_record(IRHeader(0, label, id_), content, label_field=labels[0]))


@pytest.mark.parametrize("vector", [False, True])
@pytest.mark.parametrize("content", [b"", b"x", b"image", MAGIC, b"abcd" + MAGIC * 2 + b"e", b"ab" + MAGIC])
def test_the_frame_is_that_of_the_payload_with_the_new_values(content: bytes, vector: bool) -> None:
    rng = random.Random(len(content))
    for id_ in IDS:
        old_id, old, new = rng.choice(IDS), rng.choice(LABELS), rng.choice(LABELS)
        others = [rng.choice(LABELS), 3.0] if vector else []
        frame = frame_of(old_id, [old, *others], content, vector=vector)
        assert frame_of(id_, [new, *others], content, vector=vector) == relabelled(frame, id_, new)
