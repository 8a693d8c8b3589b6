"""Costs of making batches, counted and not timed: calls, copies and new memory."""

from __future__ import annotations

import collections
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from helpers import image_payload, write_rec
from image_helpers import encoded, texture
from iterator_helpers import iterator

from im2rec.augment import draws
from im2rec.format import recordio
from im2rec.iterators.image_record import ImageRecordIter, loader_of
from im2rec.parallel import pieces_per_job
from im2rec.pipeline.buffers import BatchBuffer
from im2rec.pipeline.loader import Loader, RowProblem
from im2rec.pipeline.order import BatchRequest, Order
from im2rec.pipeline.params import ImageRecordParams, OrderParams
from im2rec.pipeline.permutation import Permutation
from im2rec.pipeline.records import Records
from im2rec.storage.reader import RecordFile

SIDE, STORED = 224, 256


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Images of 256 x 256, each a little under 200 kB when decoded."""
    jpeg = encoded(texture(STORED, STORED), "JPEG")
    return write_rec(tmp_path / "photos.rec", [image_payload(number, content=jpeg) for number in range(16)])


def crops(rec: Path, **more: Any) -> ImageRecordIter:
    """An iterator over random crops, of which half are mirrored, on one thread."""
    given = {"data_shape": (3, SIDE, SIDE), "rand_crop": True, "rand_mirror": True, "backend": "threads", **more}
    return iterator(rec, preprocess_threads=1, batch_size=16, **given)


def test_opencv_splits_contiguous_images_only(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # With the rows of a view it takes ten times as long.
    cv2 = pytest.importorskip("cv2")
    monkeypatch.setenv("IM2REC_KERNEL", "0")  # the compiled decoder writes the planes itself
    contiguous: list[bool] = []
    real = cv2.split
    monkeypatch.setattr(
        cv2, "split", lambda image, out: (contiguous.append(image.flags.c_contiguous), real(image, out))[1]
    )

    with crops(photos, engine="opencv") as it:
        it.next()
    assert len(contiguous) >= 16
    assert all(contiguous)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("kernel", ["0", "1"])
def test_loading_an_image_allocates_no_memory_of_its_size(
    photos: Path, dtype: str, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IM2REC_KERNEL", kernel)
    pytest.importorskip("simplejpeg")
    pytest.importorskip("cv2")
    with crops(photos, dtype=dtype, mean_r=1.0, std_r=2.0, engine="opencv") as it:
        request, loader = BatchRequest(list(range(16)), [0] * 16), loader_of(it)
        buffer = it._prefetcher._lease_for(request)
        read = list(loader.records.read_many(request.records))
        monkeypatch.setattr(Records, "read_many", lambda *_: iter(read))
        loader.load(buffer, request)  # the scratch memory of this thread is allocated now
        tracemalloc.start()
        try:
            loader.load(buffer, request)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < SIDE * SIDE * 3 / 2


def test_a_head_that_images_share_is_parsed_once(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simplejpeg = pytest.importorskip("simplejpeg")
    monkeypatch.setenv("IM2REC_KERNEL", "0")
    parsed: list[int] = []
    real = simplejpeg.decode_jpeg_header

    with crops(photos) as it:
        monkeypatch.setattr(
            simplejpeg, "decode_jpeg_header", lambda head, **more: (parsed.append(len(head)), real(head, **more))[1]
        )
        assert 16 == len(set(it.next().index.tolist()))
    assert len(parsed) <= 1
    assert sum(parsed) < 1000


@pytest.mark.parametrize(("index", "searched"), [(True, 1), (False, 16)])  # no record follows the last
def test_a_record_is_searched_for_others_unless_the_index_confirms_its_end(
    photos: Path, index: bool, searched: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    real = recordio._may_contain_magic
    monkeypatch.setattr(recordio, "_may_contain_magic", lambda *given: (calls.append(1), real(*given))[1])

    with RecordFile(photos, index=index) as rec:
        assert 16 == len({record.header.id for record in map(rec.__getitem__, range(16))})
    assert searched == len(calls)


def test_random_numbers_are_computed_for_all_records_of_a_piece_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []
    real = draws.absorb_array
    monkeypatch.setattr(draws, "absorb_array", lambda *given: (computed.append(1), real(*given))[1])

    for record in draws.counter_draws([1] * 50, range(50)):
        record.integer("crop_y", 0, 32)
        record.coin("mirror")
    assert 3 == len(computed)  # the records, and two values


def test_the_order_is_computed_for_many_batches_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    real = Permutation.__call__
    monkeypatch.setattr(Permutation, "__call__", lambda order, places: (calls.append(1), real(order, places))[1])
    params = ImageRecordParams(path_imgrec="x.rec", data_shape=(3, 8, 8), batch_size=100, shuffle=True)
    epoch = Order(10_000, OrderParams.of(params)).epoch(0)

    records = [record for batch in range(epoch.batches) for record in epoch.request(batch).records]
    assert list(range(10_000)) == sorted(records)
    assert len(calls) <= 3


def test_batches_are_cut_into_no_more_pieces_than_keep_all_workers_busy() -> None:
    # Pieces by workers and batches ahead; one more batch than those ahead is in work.
    expected = {(1, 4): 1, (2, 4): 1, (2, 1): 2, (4, 4): 2, (16, 4): 7, (16, 1): 16, (3, 100): 1}
    assert list(expected.values()) == [pieces_per_job(workers, ahead) for workers, ahead in expected]
    for (workers, ahead), pieces in expected.items():
        assert pieces == workers or pieces * (1 + ahead) >= 2 * workers


def test_only_the_first_batch_is_cut_for_all_workers(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: dict[int, list[int]] = collections.defaultdict(list)  # by epoch, which has a single batch
    real = Loader.load

    def load(loader: Loader, buffer: BatchBuffer, piece: BatchRequest) -> list[RowProblem]:
        sizes[piece.epochs[0]].append(len(piece.records))
        return real(loader, buffer, piece)

    monkeypatch.setattr(Loader, "load", load)

    with iterator(photos, backend="threads", preprocess_threads=2, batch_size=16, data_shape=(3, 8, 8)) as it:
        for _ in range(3):
            list(it)
    assert [8, 8] == sizes.pop(0)
    assert [[16], [16]] == [sizes.pop(epoch) for epoch in (1, 2)]
    assert all([16] == ahead for ahead in sizes.values())


def test_a_piece_is_pickled_in_few_bytes() -> None:
    (piece,) = BatchRequest(list(range(10_000, 10_025)), [3] * 25).cut(1)

    assert len(pickle.dumps(piece, pickle.HIGHEST_PROTOCOL)) < 300
