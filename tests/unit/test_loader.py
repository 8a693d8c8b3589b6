"""Records are loaded into rows a few at a time, each with the result that it has alone."""

from __future__ import annotations

import pickle
import random
import tracemalloc
import types
import weakref
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from helpers import image_payload, message_of, write_rec
from image_helpers import encoded, texture
from iterator_helpers import iterator
from PIL import Image

import im2rec.pipeline.loader
from im2rec.augment.augmenter import Augmenter
from im2rec.augment.geometry import Size
from im2rec.errors import ImageError
from im2rec.format.heads import MAGIC
from im2rec.images import codec
from im2rec.images.scratch import Arena
from im2rec.iterators.image_record import ImageRecordIter, loader_of
from im2rec.jpeg.kernel import Kernel
from im2rec.jpeg.loading import NOT_YET, LoadResult
from im2rec.pipeline.buffers import BatchBuffer, BatchLayout
from im2rec.pipeline.loader import Loader, UndecodedJpeg, bad_image_error
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
    height, width = rng.choice([(10, 10), (30, 40), (100, 300), (260, 260), (310, 310)])
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


# The compiled decoder


class StandInKernel:
    """A decoder that declines every image."""

    name = "numba 0"
    verdict = None

    def checked_header(self, _content: bytes, _max_pixels: int) -> Any:
        return types.SimpleNamespace(reason="progressive", width=0, height=0)


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[LoadResult]:
    """What the next attempts to load the decoder give, the last first; without any it is not compiled yet."""
    results: list[LoadResult] = []

    def load(*, may_compile: bool) -> LoadResult:
        assert not may_compile
        return results.pop()

    monkeypatch.setattr(im2rec.pipeline.loader, "load", load)
    return results


def test_loading_the_decoder_is_tried_at_once_and_again_after_4096_images(
    rec: Path, attempts: list[LoadResult]
) -> None:
    with iterator(rec) as it:
        loader = loader_of(it)
        attempts.append(LoadResult(None, NOT_YET))
        loader.load_kernel_if_due(4095)
        assert f"none: {NOT_YET}" == loader.kernel
        loader.load_kernel_if_due(1)  # fails if it tries
        attempts.append(LoadResult(cast("Kernel", StandInKernel())))
        loader.load_kernel_if_due(10_000)
        assert "numba 0" == loader.kernel
        loader.load_kernel_if_due(1)


def test_each_piece_counts_its_images_towards_the_next_attempt(
    tmp_path: Path, attempts: list[LoadResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(im2rec.pipeline.loader, "_IMAGES_BETWEEN_LOADS", 5)
    path = write_rec(tmp_path / "a.rec", [image_payload(0, 0, encoded(texture(30, 30)))])
    with iterator(path, data_shape=(3, SIDE, SIDE)) as it:
        attempts += [LoadResult(cast("Kernel", StandInKernel())), LoadResult(None, NOT_YET)]
        names = []
        for _ in range(3):
            rows_of(it, [0, 0, 0])
            names.append(loader_of(it).kernel)
    assert [f"none: {NOT_YET}", f"none: {NOT_YET}", "numba 0"] == names


def test_a_pickled_loader_starts_without_the_decoder_and_loads_it_after_500_images(
    rec: Path, attempts: list[LoadResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(im2rec.pipeline.loader, "unavailable_reason", lambda: "")
    with iterator(rec) as it:
        loader_of(it)._kernel = cast("Kernel", StandInKernel())
        other = pickle.loads(pickle.dumps(loader_of(it)))
        assert "none: no process has had 500 images" == other.kernel
        other.load_kernel_if_due(499)
        other.load_kernel_if_due(1)
        attempts.append(LoadResult(None, NOT_YET))
        other.load_kernel_if_due()
        assert f"none: {NOT_YET}" == other.kernel
        assert "numba 0" == loader_of(it).kernel
    monkeypatch.setattr(im2rec.pipeline.loader, "unavailable_reason", lambda: "numba is not installed")
    assert "numba is not installed" == loader_of(it).reason_for_late_kernel


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, ""),
        ({"data_shape": (1, SIDE, SIDE)}, "data_shape does not have 3 channels"),
        ({"max_rotate_angle": 9}, "images are warped, padded or resized by Pillow first"),
    ],
)
def test_the_decoder_is_not_loaded_for_parameters_that_it_cannot_serve(
    tmp_path: Path, attempts: list[LoadResult], given: dict[str, Any], reason: str
) -> None:
    path = write_rec(tmp_path / "a.rec", [image_payload(0, 0, encoded(texture(30, 30)))])
    with iterator(path, **{"data_shape": (3, SIDE, SIDE), **given}) as it:
        loader = loader_of(it)
        assert (not reason) == loader.can_use_kernel
        attempts += [] if reason else [LoadResult(None, NOT_YET)]
        loader.load_kernel_if_due()
        assert f"none: {reason or NOT_YET}" == loader.kernel


@pytest.mark.parametrize(
    ("given", "is_loaded", "expected"), [({}, True, True), ({}, False, False), ({"brightness": 0.1}, None, False)]
)
def test_the_decoder_does_all_steps_where_it_is_loaded_and_no_colours_change(
    rec: Path, attempts: list[LoadResult], given: dict[str, Any], is_loaded: bool | None, expected: bool
) -> None:
    with iterator(rec, **given) as it:
        kernel = cast("Kernel", StandInKernel()) if is_loaded else None
        attempts += [] if is_loaded is None else [LoadResult(kernel, NOT_YET)]  # it is not even tried with colours
        assert expected is loader_of(it).has_kernel_for_all_steps


def test_reasons_why_the_decoder_does_not_write_a_row(rec: Path, attempts: list[LoadResult]) -> None:
    content, row = encoded(texture(30, 40)), np.zeros((3, 6, 8), np.float32)
    with iterator(rec) as it:
        loader = loader_of(it)
        (draws,) = loader.draws([0], [0])
        assert "no kernel" == loader.inspect_jpeg(content)
        assert "no kernel" == loader.decode_into_row(UndecodedJpeg(content, Size(40, 30)), draws, row)
        attempts.append(LoadResult(cast("Kernel", StandInKernel())))
        loader.load_kernel_if_due()
        assert "progressive" == loader.inspect_jpeg(content)


def test_an_image_that_the_decoder_cannot_crop_is_declined_with_the_reason_of_the_error(tmp_path: Path) -> None:
    content = encoded(texture(4, 4))
    path = write_rec(tmp_path / "a.rec", [image_payload(0, 0, content)])
    with iterator(path, min_crop_size=30, max_crop_size=30) as it:
        (draws,) = loader_of(it).draws([0], [0])
        with pytest.raises(ImageError) as caught:
            loader_of(it).augmenter.plan(Size(4, 4), draws)
        row = np.zeros((3, 6, 8), np.float32)
        declined = loader_of(it).decode_into_row(UndecodedJpeg(content, Size(4, 4)), draws, row)
    assert caught.value.reason == declined != ""


def test_an_undecoded_jpeg_takes_the_bytes_of_its_content() -> None:
    assert 7 == UndecodedJpeg(b"content", Size(40, 30)).nbytes


# Errors and channels


def test_an_image_with_too_few_channels_is_an_error(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "a.rec", [image_payload(0, 0, encoded(texture(30, 30)))])
    with iterator(path, data_shape=(4, SIDE, SIDE)) as it:
        message = message_of(loader_of(it).decode, encoded(texture(30, 30)))
    assert "has 3 channels, data_shape asks for 4 (set data_shape=3,...)" == message


def test_images_of_a_batch_with_one_channel_are_grey(tmp_path: Path) -> None:
    content = encoded(texture(30, 30), "PNG")
    path = write_rec(tmp_path / "a.rec", [image_payload(0, 0, content)])
    with iterator(path, data_shape=(1, SIDE, SIDE)) as it:
        pixels, _ = loader_of(it).decode(content)
    assert codec.decode(content, codec.GREY).pixels.tolist() == pixels.tolist()


def test_images_of_16_bits_give_their_high_bytes(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    deep = np.arange(SIDE * SIDE * 4, dtype=np.uint16).reshape(SIDE, SIDE, 4) * 25
    content = cv2.imencode(".png", deep)[1].tobytes()  # B G R A
    path = write_rec(tmp_path / "a.rec", [image_payload(0, 0, content)])
    with iterator(path, data_shape=(4, SIDE, SIDE)) as it:
        pixels, is_cut = loader_of(it).decode(content)
    assert np.uint8 == pixels.dtype
    assert (deep >> 8)[..., [2, 1, 0, 3]].tolist() == pixels.tolist()
    assert not is_cut


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        ("does not decode", "the image does not decode"),
        ("the image data ends early", "the image data ends early"),
        ("holds no image that can be read", "holds no image that can be read"),
    ],
)
def test_the_error_of_a_record_is_a_sentence_about_its_image(problem: str, expected: str) -> None:
    error = bad_image_error(ImageError(problem, reason="a reason", hint="a hint"))

    assert f"{expected} (a hint)" == str(error)
    assert "a reason" == error.reason


def test_errors_of_labels_keep_no_buffer(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "a.rec", [image_payload(0, 1.0, encoded(texture(30, 30)))])
    with iterator(path, data_shape=(3, SIDE, SIDE), label_width=2) as it:
        buffer = BatchBuffer.new(BatchLayout((1, 3, SIDE, SIDE), "float32", 2))
        (problem,) = loader_of(it).load(buffer, BatchRequest([0], [0]))
    assert problem.error.__traceback__ is None
    assert not problem.row_is_valid
    assert [0] == buffer.ids.tolist()


def test_groups_of_images_are_decoded_into_the_same_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("simplejpeg")
    monkeypatch.setenv("IM2REC_KERNEL", "0")
    content = encoded(texture(250, 250), quality=20)  # two fill an arena
    path = write_rec(tmp_path / "a.rec", [image_payload(n, n, content) for n in range(12)])
    with iterator(path, data_shape=(3, SIDE, SIDE)) as it:
        rows_of(it, [0, 1])
        tracemalloc.start()
        try:
            rows_of(it, list(range(12)))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 250 * 250 * 3 + 12 * SIDE * SIDE * 3 * 4
