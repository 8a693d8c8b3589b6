"""What makes the feed fast, protected by counting: calls, copies and fresh memory."""

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
    """As training takes them, of which half are flipped."""
    given = {"data_shape": (3, SIDE, SIDE), "rand_crop": True, "rand_mirror": True, "backend": "threads", **more}
    return iterator(rec, preprocess_threads=1, batch_size=16, **given)


def test_opencv_takes_apart_no_view(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Row by row it is ten times slower.
    cv2 = pytest.importorskip("cv2")
    monkeypatch.setenv("IM2REC_KERNEL", "0")  # which writes the planes itself
    seen: list[bool] = []
    real = cv2.split
    monkeypatch.setattr(cv2, "split", lambda image, out: (seen.append(image.flags.c_contiguous), real(image, out))[1])

    with crops(photos, engine="opencv") as it:
        it.next()
    assert len(seen) >= 16
    assert all(seen)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("kernel", ["0", "1"])
def test_a_image_takes_no_fresh_memory_of_its_size(
    photos: Path, dtype: str, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IM2REC_KERNEL", kernel)
    pytest.importorskip("simplejpeg")
    pytest.importorskip("cv2")
    with crops(photos, dtype=dtype, mean_r=1.0, std_r=2.0, engine="opencv") as it:
        request, loader = BatchRequest(list(range(16)), [0] * 16), loader_of(it)
        buffer = it._prefetcher._buffer(request)
        read = list(loader.records.each(request.records))
        monkeypatch.setattr(Records, "each", lambda *_: iter(read))
        loader.load(buffer, request)  # this thread has its memory now
        tracemalloc.start()
        try:
            loader.load(buffer, request)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < SIDE * SIDE * 3 / 2


def test_images_that_share_their_head_are_asked_for_it_once(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simplejpeg = pytest.importorskip("simplejpeg")
    monkeypatch.setenv("IM2REC_KERNEL", "0")
    asked: list[int] = []
    real = simplejpeg.decode_jpeg_header
    monkeypatch.setattr(
        simplejpeg, "decode_jpeg_header", lambda head, **more: (asked.append(len(head)), real(head, **more))[1]
    )

    with crops(photos) as it:
        assert 16 == len(set(it.next().index.tolist()))
    assert len(asked) <= 1
    assert sum(asked) < 1000


@pytest.mark.parametrize(("index", "searched"), [(True, 1), (False, 16)])  # the last is followed by none
def test_records_whose_end_the_index_confirms_are_not_searched(
    photos: Path, index: bool, searched: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    real = recordio._may_contain_magic
    monkeypatch.setattr(recordio, "_may_contain_magic", lambda frame: (calls.append(len(frame)), real(frame))[1])

    with RecordFile(photos, index=index) as rec:
        assert 16 == len({record.header.id for record in map(rec.__getitem__, range(16))})
    assert searched == len(calls)


def test_what_one_record_draws_is_computed_for_its_whole_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []
    real = draws.absorb_array
    monkeypatch.setattr(draws, "absorb_array", lambda *given: (computed.append(1), real(*given))[1])

    for record in draws.counter_draws([1] * 50, range(50)):
        record.integer("crop_y", 0, 32)
        record.coin("mirror")
    assert 3 == len(computed)  # the records, and two values


def test_the_order_of_many_batches_is_computed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    real = Permutation.__call__
    monkeypatch.setattr(Permutation, "__call__", lambda order, places: (calls.append(1), real(order, places))[1])
    params = ImageRecordParams(path_imgrec="x.rec", data_shape=(3, 8, 8), batch_size=100, shuffle=True)
    epoch = Order(10_000, OrderParams.of(params)).epoch(0)

    records = [record for batch in range(epoch.batches) for record in epoch.request(batch).records]
    assert list(range(10_000)) == sorted(records)
    assert len(calls) <= 3


def test_batches_are_cut_no_finer_than_keeps_all_workers_busy() -> None:
    # Workers and batches ahead; of each there are one more in work than ahead.
    asked = {(1, 4): 1, (2, 4): 1, (2, 1): 2, (4, 4): 2, (16, 4): 7, (16, 1): 16, (3, 100): 1}
    assert list(asked.values()) == [pieces_per_job(workers, ahead) for workers, ahead in asked]
    for (workers, ahead), pieces in asked.items():
        assert pieces == workers or pieces * (1 + ahead) >= 2 * workers


def test_only_the_first_batch_is_cut_for_every_worker(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_piece_of_work_is_sent_in_few_bytes() -> None:
    (piece,) = BatchRequest(list(range(10_000, 10_025)), [3] * 25).cut(1)

    assert len(pickle.dumps(piece, pickle.HIGHEST_PROTOCOL)) < 300
