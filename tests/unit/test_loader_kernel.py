"""Batches are the same, to the bit, by the compiled JPEG decoder and by libjpeg."""

from __future__ import annotations

import itertools
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import image_payload, write_rec
from image_helpers import any_file, encoded, texture
from iterator_helpers import iterator, whole

import im2rec.pipeline.loader
from im2rec.errors import BadRecordError
from im2rec.images import codec
from im2rec.iterators.image_record import ImageRecordIter, loader_of
from im2rec.jpeg.kernel import Kernel
from im2rec.jpeg.loading import NOT_YET, LoadResult, load
from im2rec.pipeline import prefetch

pytest.importorskip("numba")
SIDE, RECORDS = 24, 60
WAYS: dict[str, dict[str, Any]] = {
    "centre": {},
    "uint8": {"dtype": "uint8", "rand_crop": True, "rand_mirror": True},
    "uint8, NHWC": {"dtype": "uint8", "layout": "NHWC", "rand_crop": True, "rand_mirror": True},
    "normalised": {
        "rand_crop": True,
        "rand_mirror": True,
        "mean_r": 120.5,
        "mean_b": 99.1,
        "std_g": 57.1,
        "scale": 0.3,
    },
    "normalised, NHWC": {"layout": "NHWC", "rand_mirror": True, "mean_g": 3.3, "std_r": 0.7},
    "contrast": {"max_random_contrast": 0.4, "rand_mirror": True, "std_r": 3.0, "mean_r": 7.0},
    "illumination": {"max_random_illumination": 9.0, "rand_mirror": True, "std_r": 3.0},
    "float16": {"dtype": "float16", "rand_crop": True, "mean_r": 7.0, "scale": 1e4},
    "int8": {"dtype": "int8", "rand_crop": True, "rand_mirror": True, "mean_r": 120.5},
    "mean image": {"mean_img": "mean.bin", "rand_crop": True, "rand_mirror": True},
    "colours": {"random_h": 30, "random_s": 20, "random_l": 25, "brightness": 0.2, "pca_noise": 0.1, "rand_crop": True},
    "random areas": {"random_resized_crop": True, "min_random_area": 0.1, "max_aspect_ratio": 0.4, "rand_mirror": True},
    "random sides": {"min_crop_size": 5, "max_crop_size": 9, "rand_crop": True},
    "resized": {"resize": 30, "rand_crop": True},
    "resized to the batch": {"resize": SIDE, "rand_mirror": True, "inter_method": 3, "mean_r": 5.0},
    "resized by size": {"resize": 30, "rand_crop": True, "inter_method": 9, "rand_mirror": True},
    "resized by chance": {"random_resized_crop": True, "min_random_area": 0.1, "inter_method": 10},
    "resized by Pillow": {"resize": 30, "rand_crop": True, "engine": "pillow"},
    "areas by Pillow": {"random_resized_crop": True, "min_random_area": 0.1, "engine": "pillow", "dtype": "uint8"},
    "by the reference": {"random_resized_crop": True, "min_random_area": 0.1, "engine": "reference", "inter_method": 2},
    "resized and turned": {"resize": 40, "max_rotate_angle": 20, "rand_crop": True},
    "turned and padded": {"max_rotate_angle": 20, "pad": 3, "rand_crop": True},
    "grey": {"data_shape": (1, SIDE, SIDE), "rand_crop": True},
    "as MXNet draws": {"rng": "mxnet", "rand_crop": True, "rand_mirror": True, "max_random_contrast": 0.4},
    "processes": {"backend": "processes", "rand_crop": True, "rand_mirror": True},
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = random.Random(1)
    records = [image_payload(number, number, any_file(rng, SIDE)) for number in range(RECORDS)]
    return write_rec(tmp_path_factory.mktemp("kernel") / "a.rec", records, index=True)


@pytest.fixture(autouse=True)
def compiled() -> None:
    assert load().kernel is not None


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The result of each call of the compiled decoder: "" for a row that it wrote, else a reason."""
    results: list[str] = []
    real = Kernel.decode_into

    def decode_into(*given: Any, **more: Any) -> str:
        answer = real(*given, **more)
        results.append(answer)  # after the call: threads come in between
        return answer

    monkeypatch.setattr(Kernel, "decode_into", decode_into)
    return results


def delivered(it: ImageRecordIter) -> list[Any]:
    """All batches of two epochs, and the messages of skipped and truncated records."""

    def messages(errors: list[BadRecordError]) -> list[str]:
        return sorted(str(error) for error in errors)

    with it:
        batches = [[whole(batch) for batch in it] for _ in range(2)]
        return [*batches, messages(it.skipped), messages(it.truncated)]


@pytest.mark.parametrize("way", WAYS)
def test_batches_and_errors_are_the_same_as_by_libjpeg(
    images: Path, way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"data_shape": (3, SIDE, SIDE), "batch_size": 7, "on_error": "skip", "shuffle": True, **WAYS[way]}
    monkeypatch.setenv("IM2REC_KERNEL", "0")
    expected = delivered(iterator(images, **given))
    monkeypatch.delenv("IM2REC_KERNEL")
    monkeypatch.setattr(im2rec.pipeline.loader, "MIN_IMAGES_TO_LOAD", 0)

    assert delivered(iterator(images, **given)) == expected
    assert len(expected[2]) > 1


@pytest.mark.parametrize(
    "way",
    ["centre", "uint8", "normalised", "contrast", "random areas", "resized to the batch", "resized", "areas by Pillow"],
)
def test_the_compiled_decoder_writes_the_rows_of_most_images(images: Path, way: str, answers: list[str]) -> None:
    with iterator(images, data_shape=(3, SIDE, SIDE), batch_size=RECORDS, on_error="skip", **WAYS[way]) as it:
        it.next()
    assert answers.count("") >= 20  # the others are too small, turned, progressive or damaged


@pytest.mark.parametrize("way", ["grey", "turned and padded", "resized by Pillow"])
def test_the_compiled_decoder_is_not_called_where_it_cannot_serve(images: Path, way: str, answers: list[str]) -> None:
    with iterator(images, **{"data_shape": (3, SIDE, SIDE), "on_error": "skip", **WAYS[way]}) as it:
        it.next()
        assert it.kernel.startswith("none: ")
    assert [] == answers


def test_the_iterator_names_the_compiled_decoder(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with iterator(images, data_shape=(3, SIDE, SIDE)) as it:
        assert it.kernel.startswith("numba 0.")
    with iterator(images, data_shape=(3, SIDE, SIDE), backend="processes", on_error="skip") as it:
        assert "none: no process has had 500 images" == it.kernel
        for batch in itertools.chain(it, it, it):
            del batch
        assert "none: no process has had 500 images" == it.kernel
    monkeypatch.setattr(im2rec.pipeline.loader, "MIN_IMAGES_TO_LOAD", 10)
    with iterator(images, data_shape=(3, SIDE, SIDE), backend="processes", on_error="skip") as it:
        for batch in it:
            del batch
        assert it.kernel.startswith("numba 0.")
    monkeypatch.setenv("IM2REC_KERNEL", "0")
    for backend in ("threads", "processes"):
        with iterator(images, data_shape=(3, SIDE, SIDE), backend=backend) as it:
            assert "none: IM2REC_KERNEL=0 turns it off" == it.kernel


def test_a_decoder_that_is_compiled_meanwhile_is_used_after_some_thousand_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[str]
) -> None:
    content = encoded(texture(30, 30), "JPEG")
    path = write_rec(tmp_path / "a.rec", [image_payload(n, n, content) for n in range(64)], index=True)
    looks: list[int] = []
    there = load()

    def later(*, may_compile: bool) -> LoadResult:
        assert not may_compile
        looks.append(made)
        return there if len(looks) > 2 else LoadResult(None, NOT_YET)

    monkeypatch.setattr(im2rec.pipeline.loader, "load", later)
    made = 0
    with iterator(path, data_shape=(3, SIDE, SIDE), batch_size=64, rand_crop=True) as it:
        first = it.next().data[0]
        loader = loader_of(it)
        assert loader._kernel is None
        for _ in range(200):
            made += 64
            it.reset()
            again = it.next().data[0]
            if loader._kernel is not None:
                break
    assert 3 == len(looks)
    assert 3000 <= looks[1] - looks[0] <= 5000  # what is made ahead comes to it
    assert len(answers) > 0
    assert first.shape == again.shape


def test_a_loader_in_another_process_loads_the_decoder_after_500_images(images: Path) -> None:
    with iterator(images, data_shape=(3, SIDE, SIDE), on_error="skip") as it:
        it.next()
        assert loader_of(it)._kernel is not None
        other = pickle.loads(pickle.dumps(loader_of(it)))
        assert other._kernel is None
        for _ in range(5):
            other.load_kernel_if_due(100)
            assert other._kernel is None
        other.load_kernel_if_due(100)
        assert other._kernel is not None


def test_a_cut_image_whose_row_is_partly_written_becomes_that_of_libjpeg(
    tmp_path: Path, answers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encoded(texture(200, 200), "JPEG", quality=90)
    cut = content[: len(content) * 3 // 4]
    path = write_rec(tmp_path / "a.rec", [image_payload(0, 0, content), image_payload(1, 1, cut)])
    given = {"data_shape": (3, 200, 200), "batch_size": 2}
    with iterator(path, **given) as it:
        found = it.next().data[0].copy()
        assert 1 == len(it.truncated)
    assert {"", "no end marker"} == set(answers)
    monkeypatch.setenv("IM2REC_KERNEL", "0")
    with iterator(path, **given) as it:
        assert np.array_equal(it.next().data[0], found)


def test_damaged_files_are_judged_the_same_without_simplejpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(texture(SIDE, SIDE), "JPEG", quality=90)
    # Pillow alone would call the second cut and the third sound.
    contents = [content, content[:-2], content[: len(content) * 3 // 4] + content[-2:]]
    path = write_rec(tmp_path / "a.rec", [image_payload(n, n, one) for n, one in enumerate(contents)])
    monkeypatch.setattr(codec, "_simplejpeg", None)

    with iterator(path, data_shape=(3, SIDE, SIDE), batch_size=3) as it:
        whole_one, without_end, _ = it.next().data[0]
        assert np.array_equal(whole_one, without_end)
        assert [2] == [error.record for error in it.truncated]


# The backend: threads or processes

LARGE, SMALL = (3, 224, 224), (3, 112, 112)
BACKENDS: list[tuple[dict[str, Any], str]] = [
    ({"data_shape": LARGE}, "threads"),
    ({"data_shape": LARGE, "rand_mirror": True, "std_r": 2.0, "max_random_contrast": 0.1}, "threads"),
    ({"data_shape": LARGE, "dtype": "uint8", "random_resized_crop": True, "min_random_area": 0.1}, "threads"),
    ({"data_shape": LARGE, "resize": 256}, "threads"),
    ({"data_shape": LARGE, "preprocess_threads": 16}, "processes"),
    ({"data_shape": LARGE, "preprocess_threads": 16, "backend": "threads"}, "threads"),
    ({"data_shape": LARGE, "backend": "processes"}, "processes"),
    ({"data_shape": SMALL}, "processes"),
    ({"data_shape": SMALL, "preprocess_threads": 1}, "threads"),
    ({"data_shape": LARGE, "brightness": 0.1}, "processes"),
    ({"data_shape": LARGE, "resize": 256, "max_rotate_angle": 10}, "processes"),
    ({"data_shape": LARGE, "pad": 4}, "processes"),
    ({"data_shape": LARGE, "max_random_illumination": 3.0}, "processes"),
    ({"data_shape": LARGE, "dtype": "float16"}, "processes"),
    ({"data_shape": (1, 224, 224)}, "processes"),
    ({"data_shape": LARGE, "resize": 256, "engine": "pillow"}, "processes"),
]


@pytest.mark.parametrize("given", [{"brightness": 0.1}, {"dtype": "float16"}, {"max_random_illumination": 3.0}])
def test_the_decoder_is_not_loaded_where_it_would_not_change_the_backend(
    images: Path, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetch, "_MIN_RECORDS_FOR_PROCESSES", RECORDS)
    monkeypatch.setattr(im2rec.pipeline.loader, "load", lambda **_: pytest.fail("loads it"))
    with iterator(images, data_shape=LARGE, **given) as it:
        assert "processes" == it.backend


@pytest.mark.parametrize(("given", "backend"), BACKENDS)
def test_auto_takes_threads_where_the_decoder_does_all_steps_on_large_images(
    images: Path, given: dict[str, Any], backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetch, "_MIN_RECORDS_FOR_PROCESSES", RECORDS)
    with iterator(images, **given) as it:
        assert backend == it.backend
    monkeypatch.setenv("IM2REC_KERNEL", "0")
    with iterator(images, **given) as it:
        expected = "threads" if given.get("preprocess_threads") == 1 else given.get("backend", "processes")
        assert expected == it.backend
