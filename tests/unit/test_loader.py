"""Records are loaded into rows a few at a time, each with the result that it has alone."""

from __future__ import annotations

import random
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import image_payload, write_rec
from image_helpers import encoded, texture
from iterator_helpers import iterator
from PIL import Image

from im2rec.augment.augmenter import Augmenter
from im2rec.format.recordio import MAGIC
from im2rec.images import codec
from im2rec.images.scratch import Arena
from im2rec.iterators.image_record import ImageRecordIter, loader_of
from im2rec.pipeline.buffers import BatchBuffer, BatchLayout
from im2rec.pipeline.loader import Loader
from im2rec.pipeline.order import BatchRequest

SIDE = 24


def rows_of(it: ImageRecordIter, ordinals: list[int]) -> tuple[BatchBuffer, list[tuple[int, str, bool]]]:
    """*ordinals* loaded in one piece: the buffer, and row, message and row_is_valid of each problem."""
    count = len(ordinals)
    buffer = BatchBuffer.new(BatchLayout((count, 3, SIDE, SIDE), "float32", 1))
    problems = loader_of(it).load(buffer, BatchRequest(ordinals, [2] * count))
    return buffer, [(row, str(error), row_is_valid) for row, error, row_is_valid in problems]


def any_content(rng: random.Random) -> bytes:
    """An image of 300 bytes to more than an arena holds; some rotated by EXIF, grey, cut short or not an image."""
    height, width = rng.choice([(10, 10), (30, 40), (100, 300), (260, 260), (500, 600)])
    exif = Image.Exif()
    exif[274] = rng.choice([1, 1, 1, 6])
    pixels = texture(height, width, rng.choice([1, 3, 3]), seed=rng.randrange(100))
    content = encoded(pixels, rng.choice(["JPEG", "JPEG", "PNG", "BMP"]), exif=exif)
    damage = rng.randrange(10)
    if damage == 0:
        return content[: len(content) * 2 // 3]
    return b"no picture" if damage == 1 else content


@pytest.mark.parametrize("seed", range(4))
def test_a_piece_has_the_rows_and_problems_that_its_records_have_alone(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    contents = [any_content(rng) for _ in range(30)]
    path = write_rec(tmp_path / "a.rec", [image_payload(n, n, content) for n, content in enumerate(contents)])
    data = bytearray(path.read_bytes())
    data[data.index(MAGIC, 1000) + 4] ^= 4  # a length word: a record that cannot be read
    path.write_bytes(data)
    given: dict[str, Any] = {"rand_crop": True, "rand_mirror": True, "std_r": 2.0, "on_error": "skip"}

    with iterator(path, data_shape=(3, SIDE, SIDE), **given) as it:
        ordinals = [rng.randrange(30) for _ in range(40)]
        together, problems = rows_of(it, ordinals)
        alone = [rows_of(it, [ordinal]) for ordinal in ordinals]
    assert 0 < len(problems) < 35
    assert problems == [(row, message, valid) for row, (_, one) in enumerate(alone) for _, message, valid in one]
    for array, *ones in zip(together.arrays, *(buffer.arrays for buffer, _ in alone), strict=True):
        assert np.array_equal(array, np.concatenate(ones))


def test_an_image_that_fails_after_it_took_memory_does_not_change_others(tmp_path: Path) -> None:
    whole = [encoded(texture(240, 240, seed=seed)) for seed in range(3)]
    contents = [whole[0][:-5000], *whole[1:]]  # together more than an arena holds, without the first less
    path = write_rec(tmp_path / "a.rec", [image_payload(n, n, content) for n, content in enumerate(contents)])

    with iterator(path, data_shape=(3, SIDE, SIDE), on_truncated="raise") as it:
        together, problems = rows_of(it, [0, 1, 2])
        assert [0] == [row for row, *_ in problems]
        assert all(np.array_equal(together.data[n], rows_of(it, [n])[0].data[0]) for n in (1, 2))


@pytest.mark.parametrize(("side", "in_a_row"), [(30, 12), (250, 2), (500, 1)])
def test_images_are_decoded_a_few_in_a_row_up_to_256_kib(
    tmp_path: Path, side: int, in_a_row: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IM2REC_KERNEL", "0")  # the compiled decoder decodes one as its row is written
    done: list[str] = []
    content = encoded(texture(side, side), quality=20)
    path = write_rec(tmp_path / "a.rec", [image_payload(n, n, content) for n in range(12)])
    real_decode, real_write = codec._decoded, Augmenter.write
    monkeypatch.setattr(codec, "_decoded", lambda *given: (done.append("d"), real_decode(*given))[1])
    monkeypatch.setattr(Augmenter, "write", lambda *given: (done.append("w"), real_write(*given))[1])

    with iterator(path, data_shape=(3, SIDE, SIDE)) as it:
        rows_of(it, list(range(12)))
    assert "".join(done) == ("d" * in_a_row + "w" * in_a_row) * (12 // in_a_row)


def test_a_large_image_is_freed_before_the_next_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(texture(400, 400), "PNG")
    path = write_rec(tmp_path / "a.rec", [image_payload(n, n, content) for n in range(4)])
    alive: list[weakref.ref[Any]] = []
    alive_before: list[int] = []
    real = Loader.decode

    def decode(self: Loader, *given: Any) -> Any:
        alive_before.append(sum(earlier() is not None for earlier in alive))
        image, cut = real(self, *given)
        alive.append(weakref.ref(image))
        return image, cut

    monkeypatch.setattr(Loader, "decode", decode)
    with iterator(path, data_shape=(3, SIDE, SIDE)) as it:
        rows_of(it, [0, 1, 2, 3])
    assert [0] * 4 == alive_before


def test_arrays_of_an_arena_do_not_overlap_even_if_they_do_not_fit() -> None:
    arena = Arena("a test's", 100)
    pieces = [arena.take(40), arena.take(50), arena.take(30), arena.take(20), arena.take(20)]

    for number, piece in enumerate(pieces):
        piece[:] = number
    assert [(40, 0), (50, 1), (30, 2), (20, 3), (20, 4)] == [(len(piece), int(piece.max())) for piece in pieces]
    arena.reset()
    again = arena.take(100)
    again[:] = 7
    assert [7, 7] == [int(piece.max()) for piece in pieces[:2]]  # the same memory
