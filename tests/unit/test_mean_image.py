"""The mean image: computed from plain images of the whole data, or read; files that hold none are refused."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import message_of
from image_helpers import POSIX
from iterator_helpers import SHAPE, a_rec, as_raised, bad_message, centre, iterator, some_params, with_bad

from im2rec import ImageRecordUInt8Iter, parallel
from im2rec.augment.params import OFF
from im2rec.format.ndarrayfile import NamedArray, decode_single, encode_arrays
from im2rec.images.choices import BILINEAR, RANDOM
from im2rec.pipeline.loader import Loader
from im2rec.pipeline.mean_image import without_randomness
from im2rec.pipeline.records import Records


def mean_of(count: int = 7) -> np.ndarray[Any, Any]:
    """The mean of the centre crops of the first *count* images."""
    return np.mean([centre(n).astype(np.float64) for n in range(count)], axis=0)


def test_a_missing_mean_image_is_computed_written_and_subtracted(rec: Path, tmp_path: Path) -> None:
    path = tmp_path / "mean.bin"
    with iterator(rec, mean_img=str(path)) as it:
        first = it.next().data[0]

    assert ["mean.bin"] == [file.name for file in tmp_path.iterdir()]
    mean = decode_single(path.read_bytes())
    assert "mean_img" == mean.name
    assert (np.float32, SHAPE) == (mean.array.dtype, mean.array.shape)
    assert np.allclose(mean_of(), mean.array, rtol=1e-6)
    assert (centre(0) - mean.array).tolist() == first[0].tolist()


def test_the_mean_is_of_plain_images_of_the_whole_data_whatever_the_other_parameters(rec: Path, tmp_path: Path) -> None:
    def made(name: str, **given: Any) -> bytes:
        iterator(rec, mean_img=str(tmp_path / name), **given).close()
        return (tmp_path / name).read_bytes()

    expected = made("plain")
    assert expected == made("part", num_parts=2)
    assert expected == made("crop", rand_crop=True, rand_mirror=True, max_random_contrast=0.5, shuffle=True)
    assert expected == made("normal", mirror=True, mean_r=99, std_g=3, scale=0.5, max_random_illumination=9)
    assert expected == made("other", layout="NHWC", dtype="float16", brightness=0.5, random_h=9, pca_noise=0.1)
    assert expected == made("turned", max_rotate_angle=30, max_shear_ratio=0.2, max_random_scale=1.5, inter_method=10)
    assert expected == made("area", random_resized_crop=True, min_random_area=0.5, max_aspect_ratio=0.2)
    assert expected == made("int8", dtype="int8")
    assert expected == made("threads", preprocess_threads=8)
    assert expected != made("resized", resize=9)


# What is random with it, and what takes its place; a single angle or size is not random, and stays.
RANDOM_STEPS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"rand_crop": True, "rand_mirror": True, "mirror": True}, {"rand_crop": 0, "rand_mirror": 0, "mirror": 0}),
    ({"rotate_list": (90, 180)}, {"rotate_list": ()}),
    ({"rotate_list": (90, 90)}, {"rotate_list": (90, 90)}),
    ({"min_random_scale": 0.5, "max_random_scale": 2.0}, {"min_random_scale": 1, "max_random_scale": 1}),
    ({"min_random_scale": 2.0, "max_random_scale": 2.0}, {"min_random_scale": 2.0, "max_random_scale": 2.0}),
    ({"max_aspect_ratio": 0.25}, {"max_aspect_ratio": 0, "min_aspect_ratio": None}),
    ({"min_crop_size": 3, "max_crop_size": 5}, {"min_crop_size": OFF, "max_crop_size": OFF}),
    ({"min_crop_size": 5, "max_crop_size": 5}, {"min_crop_size": 5, "max_crop_size": 5}),
    ({"inter_method": RANDOM}, {"inter_method": BILINEAR}),
    ({"inter_method": 3, "resize": 9}, {"inter_method": 3, "resize": 9}),
    (
        {"layout": "NHWC", "dtype": "float16", "mean_img": "mean.bin"},
        {"layout": "NCHW", "dtype": "uint8", "mean_img": ""},
    ),
]


@pytest.mark.parametrize(("given", "expected"), RANDOM_STEPS)
def test_random_steps_are_turned_off_and_fixed_ones_stay(given: dict[str, Any], expected: dict[str, Any]) -> None:
    plain = without_randomness(some_params("a.rec", **given))

    assert expected == {name: getattr(plain, name) for name in expected}


def test_a_mean_of_many_pieces_is_that_of_all_images(tmp_path: Path) -> None:
    path = tmp_path / "mean.bin"
    iterator(a_rec(tmp_path, 70), mean_img=str(path)).close()

    assert np.allclose(mean_of(70), decode_single(path.read_bytes()).array, rtol=1e-6)


def test_the_sum_is_exact_and_the_division_that_of_the_reference(tmp_path: Path) -> None:
    path = tmp_path / "mean.bin"
    iterator(a_rec(tmp_path, 7), mean_img=str(path)).close()

    total = sum(centre(n).astype(np.int64) for n in range(7)).astype(np.float32)
    assert (total * np.float32(1 / 7)).tolist() == decode_single(path.read_bytes()).array.tolist()


def test_computing_a_mean_image_is_logged(rec: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "mean.bin"
    with caplog.at_level(logging.INFO):
        iterator(rec, mean_img=str(path)).close()

    assert [f"computing the mean image of 7 records: {path}"] == caplog.messages


def test_a_mean_image_that_another_process_wrote_meanwhile_is_replaced(
    rec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = tmp_path / "mean.bin", Records.read_many

    def read_many(records: Records, ordinals: Any) -> Any:
        path.write_bytes(b"by another")
        return real(records, ordinals)

    monkeypatch.setattr(Records, "read_many", read_many)
    iterator(rec, mean_img=str(path)).close()

    assert np.allclose(mean_of(), decode_single(path.read_bytes()).array, rtol=1e-6)


@POSIX
def test_a_mean_image_is_written_in_the_place_of_a_link_to_a_missing_file(rec: Path, tmp_path: Path) -> None:
    path = tmp_path / "mean.bin"
    path.symlink_to(tmp_path / "gone.bin")
    iterator(rec, mean_img=str(path)).close()

    assert np.allclose(mean_of(), decode_single(path.read_bytes()).array, rtol=1e-6)


def test_the_mean_is_flipped_with_the_image_it_is_subtracted_from(rec: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "mean.bin")
    with iterator(rec, mean_img=path) as it, iterator(rec, mean_img=path, mirror=True) as flipped:
        assert it.next().data[0][..., ::-1].tolist() == flipped.next().data[0].tolist()


def test_an_existing_mean_image_is_read_and_not_written(rec: Path, tmp_path: Path) -> None:
    path, mean = tmp_path / "mean.bin", np.arange(144, dtype=np.float32).reshape(SHAPE)
    for name, array in (("mean_img", mean), (None, mean), ("x", mean.astype(np.uint8))):
        path.write_bytes(data := encode_arrays([NamedArray(name, array)]))
        with iterator(rec, mean_img=str(path)) as it:
            assert (centre(0) - mean).tolist() == it.next().data[0][0].tolist()
        assert data == path.read_bytes()


def test_uint8_batches_neither_subtract_nor_write_a_mean_image(rec: Path, tmp_path: Path) -> None:
    with iterator(rec, ImageRecordUInt8Iter, mean_img=str(tmp_path / "mean.bin")) as it:
        assert centre(0).tolist() == it.next().data[0][0].tolist()
    assert [] == [*tmp_path.iterdir()]


ONE = NamedArray("mean_img", np.ones((3, 8, 8), np.float32))
AGAIN = "(make or fetch the file again)"
NO_MEAN = {
    encode_arrays([ONE, ONE]): ": expected one array, found 2 (keep one: mx.nd.save(path, [array]))",
    b"eight by": ", byte 0: expected the number 0x112 of an array file, "
    f"found {int.from_bytes(b'eight by', 'little'):#x} {AGAIN}",
    b"": f", byte 0: expected the number of an array file of 8 bytes, found 0 {AGAIN}",
}


def test_a_mean_image_of_another_shape_is_an_error(rec: Path, tmp_path: Path) -> None:
    path = tmp_path / "mean.bin"
    path.write_bytes(data := encode_arrays([ONE]))

    hint = "(remove the file to have it made again)"
    message = f"{path}: its mean image is 3,8,8, data_shape is 3,6,8 {hint}"
    assert message == message_of(iterator, rec, mean_img=str(path))
    assert data == path.read_bytes()


def test_a_file_without_one_array_is_an_error_and_is_not_written(rec: Path, tmp_path: Path) -> None:
    path = tmp_path / "mean.bin"
    for data, problem in NO_MEAN.items():
        path.write_bytes(data)
        assert f"{path}{problem}" == message_of(iterator, rec, mean_img=str(path))
        assert data == path.read_bytes()


def test_a_mean_image_that_cannot_be_written_is_an_error_before_any_record_is_read(
    rec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Records, "read_many", lambda *_: pytest.fail("reads records"))
    folder = tmp_path / "gone"

    message = f"{folder / 'mean.bin'}: the folder {folder} is missing (make it first)"
    assert message == message_of(iterator, rec, mean_img=str(folder / "mean.bin"))


def test_a_mean_image_that_cannot_be_read_is_an_error(rec: Path, tmp_path: Path) -> None:
    message = f"{tmp_path}: is a folder (name a file)"
    assert message == message_of(iterator, rec, mean_img=str(tmp_path))


def test_a_bad_image_is_an_error_or_is_skipped_as_on_error_says(tmp_path: Path) -> None:
    rec, path = with_bad(tmp_path, 6), tmp_path / "mean.bin"

    assert as_raised(bad_message(rec, 6)) == message_of(iterator, rec, mean_img=str(path))
    assert ["some.idx", "some.rec"] == sorted(file.name for file in tmp_path.iterdir())
    iterator(rec, mean_img=str(path), on_error="skip").close()
    assert np.allclose(mean_of(6), decode_single(path.read_bytes()).array, rtol=1e-6)


def test_a_mean_of_no_image_is_an_error(tmp_path: Path) -> None:
    rec = with_bad(tmp_path, *range(7))

    message = message_of(iterator, rec, mean_img=str(tmp_path / "mean.bin"), on_error="skip")
    assert f"{rec}: holds no image to make {tmp_path / 'mean.bin'} of" == message


def test_a_missing_mean_image_is_not_computed_with_rng_mxnet(rec: Path, tmp_path: Path) -> None:
    path = tmp_path / "mean.bin"

    problem = f"mean_img={path} must exist with rng=mxnet: MXNet draws numbers while it makes one"
    assert f"{problem} (make it with rng=im2rec first)" == message_of(iterator, rec, mean_img=str(path), rng="mxnet")
    assert [] == [*tmp_path.iterdir()]
    iterator(rec, mean_img=str(path)).close()
    with iterator(rec, mean_img=str(path)) as it, iterator(rec, mean_img=str(path), rng="mxnet") as other:
        assert it.next().data[0].tolist() == other.next().data[0].tolist()


def test_a_fork_waits_while_images_are_decoded_for_the_mean(
    rec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside: list[int] = []
    load = Loader.load

    def watched(loader: Loader, *given: Any) -> Any:
        inside.append(parallel._forks._inside)
        return load(loader, *given)

    monkeypatch.setattr(Loader, "load", watched)
    iterator(rec, mean_img=str(tmp_path / "mean.bin")).close()

    assert [1] == inside
