"""PairDataset: the pairs of a verification file, in every published form, in this process and in workers."""

from __future__ import annotations

import copy
import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bin_helpers import ACCEPTED, BINS, EXPECTED, OURS, bin_bytes, expected_same, hashes_of
from helpers import message_of, write_rec
from image_helpers import encoded, texture
from PIL import Image
from torch.utils.data import DataLoader
from torch_helpers import first_value

import im2rec
from im2rec import mx
from im2rec.errors import ImageError
from im2rec.torch import PairDataset


@pytest.fixture
def many() -> Path:
    return BINS / "py27_np116_p2_102_pairs.bin"


@pytest.mark.parametrize("name", ACCEPTED)
def test_every_published_form_gives_the_same_pairs_of_tensors(name: str) -> None:
    ds = PairDataset(BINS / name)

    assert ACCEPTED[name]["pairs"] == len(ds)
    assert expected_same(name) == ds.same.tolist()
    with im2rec.open_bin(OURS) as pairs:
        for number in range(6):
            image1, image2, same = ds[number]
            assert (torch.uint8, (3, 16, 16)) == (image1.dtype, tuple(image1.shape))
            assert np.array_equal(im2rec.decode(pairs[number].content1).pixels.transpose(2, 0, 1), image1.numpy())
            assert np.array_equal(im2rec.decode(pairs[number].content2).pixels.transpose(2, 0, 1), image2.numpy())
            assert same is pairs[number].same


def test_decode_and_color_are_those_of_record_dataset() -> None:
    array, image, content = (PairDataset(OURS, decode=decode)[3][1] for decode in ("array", "pil", None))

    assert (np.uint8, (16, 16, 3)) == (array.dtype, array.shape)
    assert array.flags.writeable
    assert isinstance(image, Image.Image)
    assert np.array_equal(array, np.asarray(image))
    assert [EXPECTED["pictures"][7]] == hashes_of([content])
    assert (1, 16, 16) == PairDataset(OURS, color=0)[0][0].shape
    assert "decode='text' must be 'tensor' or 'array'" in message_of(PairDataset, OURS, decode="text")
    assert "color=2 must be 1 or 0 or -1" in message_of(PairDataset, OURS, color=2)


def test_the_transform_is_called_with_each_image() -> None:
    ds, plain = PairDataset(OURS, first_value), PairDataset(OURS)

    for number in range(6):
        assert (first_value(plain[number][0]), first_value(plain[number][1])) == ds[number][:2]
    assert "Transform: <function first_value" in repr(ds)


def test_positions_count_from_either_end() -> None:
    ds = PairDataset(OURS)

    assert torch.equal(ds[5][1], ds[-1][1])
    for number in (6, -7):
        with pytest.raises(IndexError):
            ds[number]
    assert f"Dataset PairDataset\n    Number of pairs: 6\n    Root location: {OURS}" == repr(ds)


@pytest.mark.parametrize(("workers", "method"), [(0, None), (2, "fork"), (2, "spawn")])
def test_a_data_loader_gives_batches_with_and_without_workers(many: Path, workers: int, method: Any) -> None:
    ds = PairDataset(many)
    loader = DataLoader(ds, batch_size=40, num_workers=workers, multiprocessing_context=method)
    batches = list(loader)

    assert [(40, 3, 16, 16), (40, 3, 16, 16), (22, 3, 16, 16)] == [tuple(batch[0].shape) for batch in batches]
    assert torch.bool == batches[0][2].dtype
    assert ds.same.tolist() == torch.cat([same for _, _, same in batches]).tolist()
    for side in (0, 1):
        together = torch.cat([batch[side] for batch in batches])
        assert all(torch.equal(ds[number][side], together[number]) for number in range(0, 102, 7))


def test_a_pickled_dataset_is_small_and_opens_its_file_again(many: Path) -> None:
    ds = PairDataset(many, first_value)
    pickled = pickle.dumps(ds)

    assert len(pickled) < 1000
    assert ds[50] == pickle.loads(pickled)[50] == copy.deepcopy(ds)[50]


def test_an_image_that_cannot_be_decoded_is_named_by_path_pair_and_side(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    good = encoded(texture(16, 16))
    path.write_bytes(bin_bytes([good, good, good, b"no image"], [True, False]))
    ds = PairDataset(path)

    assert ds[0][2] is True
    with pytest.raises(ImageError) as caught:
        ds[1]
    assert str(caught.value).startswith(f"{path}: pair 1, second image: ")
    assert "not an image" == caught.value.reason
    with pytest.raises(ImageError, match="pair 1, second image: "):
        list(DataLoader(ds, num_workers=1, multiprocessing_context="fork"))
    assert b"no image" == PairDataset(path, decode=None)[1][1]


def test_the_first_image_that_ends_early_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.bin"
    cut = encoded(texture(64, 64), "JPEG")[:-200]
    path.write_bytes(bin_bytes([cut] * 4, [True, False]))
    ds = PairDataset(path)
    with caplog.at_level(logging.WARNING):
        assert (3, 64, 64) == ds[0][0].shape == ds[1][1].shape

    expected = f"{path}, pair 0, first image: ends early: decoded as far as it goes; further ones are not named"
    assert [expected] == [record.getMessage() for record in caplog.records]


def test_tensors_are_those_that_published_evaluation_code_makes_of_the_pickle() -> None:
    contents, issame_list = pickle.loads(OURS.read_bytes())
    images = torch.stack([torch.from_numpy(mx.image.imdecode(each).asnumpy()).permute(2, 0, 1) for each in contents])
    published = [
        images.float(),
        torch.stack([torch.from_numpy(np.flip(each.numpy(), 2).copy()) for each in images]).float(),
    ]

    ds = PairDataset(OURS)
    ours = torch.stack([image for image1, image2, _ in ds for image in (image1, image2)]).float()
    assert torch.equal(published[0], ours)
    assert torch.equal(published[1], ours.flip(3))
    assert issame_list == ds.same.tolist()


def test_other_files_are_refused_when_the_dataset_is_made(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", [b"x" * 40])

    assert "is no verification file: it is a RecordIO file (.rec)" in message_of(PairDataset, rec)
    assert "the pickle names builtins.eval" in message_of(PairDataset, BINS / "hostile_eval.bin")


def test_a_closed_dataset_gives_no_images() -> None:
    with PairDataset(OURS) as ds:
        pass

    assert f"{OURS}: is closed (open it again)" == message_of(ds.__getitem__, 0)
