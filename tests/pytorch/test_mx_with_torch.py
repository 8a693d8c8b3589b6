"""Arrays and datasets of ``im2rec.mx`` in programs that train with PyTorch."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from iterator_helpers import iterator, pixels
from mx_helpers import half

from im2rec.mx import image, io
from im2rec.mx import ndarray as nd
from im2rec.mx.gluon.data.vision import ImageRecordDataset

torch = pytest.importorskip("torch")


def test_torch_takes_an_array_without_copying_it() -> None:
    array = nd.arange(24, dtype="uint8").reshape((2, 3, 4))
    torch.from_numpy(array)[0] = 99
    torch.as_tensor(array)[1] = 98

    assert [99] * 12 + [98] * 12 == array.reshape(-1).tolist()
    assert torch.uint8 == torch.tensor(array).dtype


def test_torch_takes_parts_that_numpy_would_walk_backwards() -> None:
    array = nd.arange(6)

    assert [5, 4, 3, 2, 1, 0] == torch.from_numpy(array[::-1]).tolist()
    assert [5, 4, 3, 2, 1, 0] == torch.from_numpy(nd.flip(array, axis=0)).tolist()


def test_single_values_become_tensors() -> None:
    array = nd.arange(3)

    assert 2 == torch.tensor(array[2].asscalar())
    assert (1,) == torch.tensor(array[2]).shape
    assert [1, 2, 3] == (torch.ones(3) + array).tolist()


def test_the_verification_loader_fills_a_tensor(rec: Path) -> None:
    data = torch.empty((2, 3, 8, 10))
    picture = ImageRecordDataset(rec)[0][0]
    for flip in (0, 1):
        turned = nd.transpose(image.resize_short(picture, 8), axes=(2, 0, 1))
        turned = nd.flip(data=turned, axis=2) if flip else turned
        data[flip][:] = torch.from_numpy(turned.asnumpy())

    expected = pixels(0).transpose(2, 0, 1)
    assert np.array_equal(np.stack([expected, expected[:, :, ::-1]]), data)


def test_a_batch_becomes_a_tensor(rec: Path) -> None:
    with iterator(rec, io.ImageRecordIter) as it:
        batch = it.next()

    assert np.array_equal(batch.data[0], torch.from_numpy(batch.data[0]))
    assert [0, 1, 2] == torch.as_tensor(batch.label[0]).long().tolist()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_dataloader_reads_a_dataset_in_workers_started_in_any_way(rec: Path, workers: int, method: str) -> None:
    from torch.utils.data import DataLoader  # noqa: PLC0415 - torch may be missing

    context = method if workers else None
    for dataset, share in ((ImageRecordDataset(rec), 1), (ImageRecordDataset(rec).transform_first(half), 2)):
        loader = DataLoader(dataset, batch_size=3, num_workers=workers, multiprocessing_context=context)
        for _ in range(2):
            images, labels = zip(*loader, strict=True)
            assert list(range(7)) == torch.cat(labels).tolist()
            assert np.array_equal(np.stack([pixels(number) for number in range(7)]) / share, torch.cat(images))
