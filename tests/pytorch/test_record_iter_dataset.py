"""RecordIterDataset: batches as tensors, the same for any workers, and shared out among ranks."""

from __future__ import annotations

import copy
import logging
import multiprocessing
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import message_of
from iter_dataset_helpers import COUNT, all_of, dataset, epochs, loader, numbers, taken
from iterator_helpers import SHAPE, a_rec, bad_message, iterator, with_bad
from torch.utils.data import DataLoader, DistributedSampler

from im2rec.errors import BadRecordError
from im2rec.iterators.batch import DataBatch
from im2rec.iterators.image_record import ImageRecordIter

# Start method, workers, and whether they persist. A spawned worker takes a second or more to import PyTorch.
WORKERS = [
    ("fork", 2, False),
    ("fork", 2, True),
    ("fork", 4, False),
    ("fork", 4, True),
    ("spawn", 2, False),
    ("forkserver", 2, True),
    ("spawn", 4, True),
]


@pytest.fixture(scope="module")
def rec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_rec(tmp_path_factory.mktemp("iter"), COUNT, "a.rec")


# Batches


def test_batches_are_those_of_the_iterator_as_tensors(rec: Path) -> None:
    given: dict[str, Any] = {"shuffle": True, "rand_mirror": True, "seed": 5}
    with iterator(rec, last_batch="keep", **given) as it:
        expected = [(batch.data[0], batch.label[0], len(batch.data[0]) - batch.pad) for batch in it]
    ds = dataset(rec, rand_mirror=True)

    for (data, label), (images, labels, rows) in zip(ds, expected, strict=True):
        assert (torch.float32, torch.float32) == (data.dtype, label.dtype)
        assert (rows, *SHAPE) == tuple(data.shape)
        assert np.array_equal(images[:rows], data.numpy())
        assert np.array_equal(labels[:rows], label.numpy())


@pytest.mark.parametrize(
    ("given", "dtype", "shape"),
    [
        ({"dtype": "uint8"}, torch.uint8, (3, *SHAPE)),
        ({"dtype": "float16", "layout": "NHWC"}, torch.float16, (3, 6, 8, 3)),
    ],
)
def test_dtype_and_layout_are_passed_on(rec: Path, given: Any, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    data, _ = next(iter(dataset(rec, **given)))

    assert (dtype, shape) == (data.dtype, tuple(data.shape))


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_tensors_are_the_memory_of_the_batch_and_the_callers_to_keep(
    rec: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[DataBatch] = []
    real = ImageRecordIter.next
    monkeypatch.setattr(ImageRecordIter, "next", lambda it: made.append(real(it)) or made[-1])
    ds = dataset(rec, backend=backend)
    kept = list(ds)

    for (data, label), batch in zip(kept, made, strict=True):
        assert np.shares_memory(data.numpy(), batch.data[0])
        assert np.shares_memory(label.numpy(), batch.label[0])
    values = [data.clone() for data, _ in kept]
    list(ds)
    assert all(torch.equal(data, value) for (data, _), value in zip(kept, values, strict=True))
    kept[0][0].add_(1)  # writable
    ds.close()


def test_the_last_batch_is_short_or_left_out(rec: Path) -> None:
    assert [3] * 7 + [2] == [len(batch) for batch in numbers(dataset(rec))]
    assert [3] * 7 == [len(batch) for batch in numbers(dataset(rec, drop_last=True))]
    assert (8, 7) == (len(dataset(rec)), len(dataset(rec, drop_last=True)))
    assert 8 == len(loader(dataset(rec)))


def test_labels_may_be_vectors(rec: Path, tmp_path: Path) -> None:
    lst = tmp_path / "some.lst"
    lst.write_text("".join(f"{100 + n}\t{n}\t{n + 0.5}\tx.png\n" for n in range(COUNT)))
    _, label = next(iter(dataset(rec, shuffle=False, path_imglist=lst, label_width=2)))

    assert [[0, 0.5], [1, 1.5], [2, 2.5]] == label.tolist()


# Epochs and workers


def test_each_loop_is_the_next_epoch_and_set_epoch_names_another(rec: Path) -> None:
    first, second, third = epochs(rec, 3)
    ds = dataset(rec)

    assert [*range(COUNT)] == all_of(first) == all_of(second)
    assert first != second != third
    assert first[:2] == taken(ds, 2)
    assert second == numbers(ds)  # the loop before ended early
    ds.set_epoch(0)
    assert first == numbers(ds)
    ds.set_epoch(2)
    assert third == numbers(ds)
    ds.set_epoch(2)
    assert third == numbers(ds)


def test_an_iterator_of_which_no_batch_is_taken_begins_no_epoch(rec: Path) -> None:
    ds = dataset(rec)
    for _ in range(3):
        iter(ds)

    assert epochs(rec, 1) == [numbers(ds)]


@pytest.mark.parametrize(("start_method", "workers", "persistent"), WORKERS)
def test_workers_deliver_the_epochs_of_a_loop_without_them(
    rec: Path, *, start_method: str, workers: int, persistent: bool
) -> None:
    ds = dataset(rec, rand_mirror=True)
    of_workers = loader(ds, num_workers=workers, multiprocessing_context=start_method, persistent_workers=persistent)
    without = loader(dataset(rec, rand_mirror=True))

    assert 8 == len(of_workers)
    assert without.dataset.state_dict()["iterator"]["epoch"] == 0
    for _ in range(2):
        for (data, label), (expected_data, expected_label) in zip(of_workers, without, strict=True):
            assert torch.equal(expected_data, data)
            assert torch.equal(expected_label, label)


@pytest.mark.parametrize("workers", [0, 1, 3, 9])  # with nine, one has no batch
def test_any_number_of_workers_delivers_the_same(rec: Path, workers: int) -> None:
    given = {"drop_last": True, "batch_size": 2}
    of_workers = loader(dataset(rec, **given), num_workers=workers)

    assert epochs(rec, 2, **given) == [numbers(of_workers), numbers(of_workers)]
    assert 11 == len(of_workers)


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_see_set_epoch(rec: Path, *, persistent: bool) -> None:
    first, second, third, fourth = epochs(rec, 4)
    ds = dataset(rec)
    of_workers = loader(ds, num_workers=2, persistent_workers=persistent)

    ds.set_epoch(2)
    assert third == numbers(of_workers)
    assert fourth == numbers(of_workers)
    ds.set_epoch(0)
    assert first == numbers(of_workers)
    ds.set_epoch(0)
    assert first == numbers(of_workers)
    assert second == numbers(of_workers)


@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_an_epoch_that_is_set_while_workers_start_is_that_of_the_next_loop(rec: Path, epoch: int) -> None:
    """As in programs that set it when the loop has begun."""
    is_set = multiprocessing.get_context("fork").Event()

    def start(worker: int) -> None:
        if worker == 1:
            is_set.wait(60)

    expected = epochs(rec, 7)
    ds = dataset(rec)
    batches = iter(loader(ds, num_workers=2, multiprocessing_context="fork", worker_init_fn=start))
    first = numbers([next(batches)])
    ds.set_epoch(epoch)
    is_set.set()

    assert expected[0] == [*first, *numbers(batches)]
    assert expected[epoch] == numbers(loader(ds, num_workers=2))
    assert expected[epoch + 1] == numbers(ds)


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_agree_on_the_epoch_after_loops_that_ended_early(rec: Path, *, persistent: bool) -> None:
    of_workers = loader(dataset(rec), num_workers=3, persistent_workers=persistent)
    expected = epochs(rec, 30)
    found = []
    for _ in range(6):
        next(iter(of_workers))  # some workers may not have begun
        iter(of_workers)
        found.append(numbers(of_workers))

    numbers_of_epochs = [expected.index(epoch) for epoch in found]  # each is one whole epoch
    assert sorted({*numbers_of_epochs}) == numbers_of_epochs


@pytest.mark.parametrize("epoch", ["3", None, 1.5])
def test_an_epoch_that_is_no_number_is_refused(rec: Path, epoch: Any) -> None:
    assert f"epoch={epoch!r} must be 0 to 2147483646" == message_of(dataset(rec).set_epoch, epoch)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_of_an_old_run_of_mxnet_are_replayed(rec: Path, workers: int) -> None:
    given = {"path_imgrec": rec, "batch_size": 3, "data_shape": SHAPE, "shuffle": True, "rng": "mxnet"}
    with ImageRecordIter(**given, last_batch="keep") as it:
        expected = [batch.label[0][: 3 - batch.pad].astype(int).tolist() for batch in it]

    assert expected == numbers(loader(dataset(rec, seed=0, rng="mxnet"), num_workers=workers))
    message = "rng=mxnet has no batches of equal sizes for several ranks (set drop_last=True)"
    assert message == message_of(dataset, rec, rng="mxnet", rank=0, world=2)


def test_epochs_differ_where_a_program_seeds_the_workers_anew(rec: Path) -> None:
    of_workers = loader(dataset(rec), num_workers=2)
    found = []
    for _ in range(3):
        torch.manual_seed(1)
        found.append(numbers(of_workers))

    assert epochs(rec, 3) == found


def test_loaders_with_other_numbers_of_workers_go_on_counting_epochs(rec: Path) -> None:
    ds = dataset(rec)

    assert epochs(rec, 5) == [numbers(loader(ds, num_workers=workers)) for workers in (2, 3, 0, 1, 2)]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda ds: pickle.loads(pickle.dumps(ds))])
def test_a_copy_has_epochs_and_workers_of_its_own(rec: Path, copied: Any) -> None:
    expected, ds = epochs(rec, 3), dataset(rec)
    numbers(ds)
    other = copied(ds)

    assert expected[1:] == [numbers(loader(other, num_workers=2)), numbers(loader(other, num_workers=2))]
    assert expected[1] == numbers(ds)
    assert len(pickle.dumps(ds)) < 30_000


def test_a_loop_that_another_one_replaced_is_an_error(rec: Path) -> None:
    ds = dataset(rec)
    first, second = iter(ds), iter(ds)
    next(first)
    next(second)

    assert "another loop over the data set has begun (make a data set for each loop)" == message_of(next, first)
    assert 7 == len(list(second))
    with pytest.raises(StopIteration):
        next(second)


def test_a_closed_data_set_says_so(rec: Path) -> None:
    with dataset(rec) as ds:
        batches = iter(ds)
        next(batches)
    ds.close()

    for work in (lambda: next(iter(ds)), lambda: next(batches), ds.state_dict):
        assert "the data set is closed (make a new one)" == message_of(work)


# Ranks


def shares(rec: Path, world: int, **given: Any) -> list[list[list[int]]]:
    """The batches of every rank."""
    return [numbers(dataset(rec, rank=rank, world=world, **given)) for rank in range(world)]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("world", [2, 3, 5, 30])
def test_ranks_have_as_many_batches_of_the_same_sizes_as_with_a_distributed_sampler(
    rec: Path, world: int, *, drop_last: bool, shuffle: bool
) -> None:
    found = shares(rec, world, drop_last=drop_last, shuffle=shuffle)

    sampler: Any = DistributedSampler(range(COUNT), world, 0, drop_last=drop_last)  # type: ignore[arg-type]
    of_torch = DataLoader(range(COUNT), batch_size=3, sampler=sampler, drop_last=drop_last)  # type: ignore[arg-type]
    assert [[len(batch) for batch in of_torch]] * world == [[len(batch) for batch in rank] for rank in found]
    assert len(of_torch) == len(dataset(rec, rank=1, world=world, drop_last=drop_last))
    delivered = [number for rank in found for batch in rank for number in batch]
    if not drop_last:
        assert {*range(COUNT)} == {*delivered}
        assert -(-COUNT // world) * world == len(delivered)
    else:
        assert len({*delivered}) == len(delivered)


def test_the_records_of_ranks_are_those_of_a_distributed_sampler_over_the_same_order(rec: Path) -> None:
    (order,) = epochs(rec, 1)
    whole = [number for batch in order for number in batch]
    samplers = [DistributedSampler(whole, 4, rank, shuffle=False) for rank in range(4)]  # type: ignore[arg-type]
    expected = [[whole[place] for place in sampler] for sampler in samplers]

    assert expected == [[number for batch in rank for number in batch] for rank in shares(rec, 4)]


def test_workers_of_a_rank_share_its_batches(rec: Path) -> None:
    given: dict[str, Any] = {"rank": 1, "world": 2}

    assert epochs(rec, 2, **given) == [
        numbers(loader(dataset(rec, **given), num_workers=2)),
        epochs(rec, 2, **given)[1],
    ]


@pytest.fixture
def _one_group() -> Iterator[None]:
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("_one_group")
def test_rank_and_world_are_those_of_torch_distributed(rec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")

    ds = dataset(rec)
    assert (0, 1) == (ds.rank, ds.world)


def test_rank_and_world_are_those_of_the_environment_where_the_data_set_is_made(
    rec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    ds = dataset(rec)
    monkeypatch.delenv("RANK")
    monkeypatch.delenv("WORLD_SIZE")

    assert (1, 4) == (ds.rank, ds.world)
    assert shares(rec, 4)[1] == numbers(loader(ds, num_workers=2))
    assert "rank 1 of 4, 2 batches>" in repr(ds)
    plain = dataset(rec)
    assert (0, 1) == (plain.rank, plain.world)
    given = dataset(rec, rank="2", world=3)
    assert (2, 3) == (given.rank, given.world)


@pytest.mark.parametrize(
    ("environment", "given", "message"),
    [
        ({"RANK": "1"}, {}, "the environment has RANK=1 and no WORLD_SIZE (set both, or rank= and world=)"),
        ({"WORLD_SIZE": "2"}, {}, "the environment has WORLD_SIZE=2 and no RANK (set both, or rank= and world=)"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, {}, "rank=2 must be 0 to 1 with world=2"),
        ({"RANK": "one", "WORLD_SIZE": "2"}, {}, "RANK=one must be an integer or auto"),
        ({}, {"rank": 1}, "rank=1 must be 0 with world=1"),
        ({}, {"rank": -1, "world": 2}, "rank=-1 must be 0 to 1 with world=2"),
        ({}, {"rank": 0, "world": 0}, "world=0 must be 1 or more"),
        ({}, {"rank": 0, "world": "all"}, "world=all must be an integer or auto"),
    ],
)
def test_wrong_ranks_are_refused(
    rec: Path, environment: dict[str, str], given: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert message == message_of(dataset, rec, **given)


# Problems


def test_parameters_that_are_not_there_or_follow_from_others_are_refused(rec: Path) -> None:
    message = "unknown key 'rand_corp' (the nearest known key is 'rand_crop')"
    assert message == message_of(dataset, rec, rand_corp=True)
    for name, ours in (("part_index", "rank"), ("num_parts", "world"), ("last_batch", "drop_last")):
        assert f"{name} is set by {ours} (give {ours} alone)" == message_of(dataset, rec, **{name: 1})
    message = "reuse_buffers=1 must be 0: tensors keep the memory of their batch"
    assert message == message_of(dataset, rec, reuse_buffers=True)
    assert "epoch=-1 must be 0 to 2147483646" == message_of(dataset(rec).set_epoch, -1)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_record_is_an_error_in_the_place_of_its_batch(tmp_path: Path, workers: int) -> None:
    path = with_bad(tmp_path, 4, count=12)
    batches = iter(loader(dataset(path, shuffle=False), num_workers=workers))

    assert [[0, 1, 2]] == numbers([next(batches)])
    with pytest.raises(BadRecordError, match=re.escape(bad_message(path, 4))):
        next(batches)
    assert [[6, 7, 8], [9, 10, 11]] == numbers(batches)


def test_skipped_records_make_batches_shorter_and_none_empty(tmp_path: Path) -> None:
    path = with_bad(tmp_path, 1, 3, 4, 5, count=11)
    ds = dataset(path, shuffle=False, on_error="skip")

    assert [[0, 2], [6, 7, 8], [9, 10]] == numbers(ds)
    assert [[0, 2], [9, 10], [6, 7, 8]] == numbers(loader(ds, num_workers=2))  # the second worker left its turn out


@pytest.mark.parametrize("given", [{"rank": 0, "world": 2}, {"drop_last": True}])
def test_where_sizes_are_equal_skipped_records_are_replaced_from_their_batch(tmp_path: Path, given: Any) -> None:
    path = with_bad(tmp_path, 1, 3, 4, 5, count=14)
    batches = iter(dataset(path, shuffle=False, on_error="skip", **given))
    _, label = next(batches)

    assert 3 == len(label)
    assert [0, 0, 2] == sorted(label.tolist())
    message = "no record of a batch of epoch 0 is good, and batches must be of one size"
    assert f"{message} (see the warnings, or set a larger batch_size)" == message_of(next, batches)
    _, label = next(batches)
    assert 6 == label[0]


def test_workers_do_not_repeat_what_the_parent_logged(rec: Path, caplog: pytest.LogCaptureFixture) -> None:
    class InWorkers(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise AssertionError(record.getMessage())

    ds = dataset(rec, ctx="gpu")
    assert ["ctx has no effect here"] == [
        record.getMessage() for record in caplog.records if record.levelname == "WARNING"
    ]
    handler = InWorkers(logging.WARNING)
    logging.getLogger("im2rec").addHandler(handler)
    try:
        assert epochs(rec, 1) == [numbers(loader(ds, num_workers=2))]
    finally:
        logging.getLogger("im2rec").removeHandler(handler)


@pytest.mark.parametrize("given", [{"batch_size": None}, {}, {"shuffle": True}, {"batch_size": None, "num_workers": 2}])
def test_an_iterator_in_a_data_loader_says_what_to_give_it(rec: Path, given: Any) -> None:
    way = "ImageRecordIter has no items: loop over it; give a DataLoader an im2rec.torch.RecordIterDataset"
    with iterator(rec) as it, pytest.raises(TypeError, match=way):
        next(iter(DataLoader(it, **given)))  # type: ignore[arg-type]


def test_an_iterator_in_a_data_loader_that_spawns_says_what_to_give_it(rec: Path) -> None:
    way = "ImageRecordIter cannot be pickled: .*; give a DataLoader an im2rec.torch.RecordIterDataset"
    spawning: Any = DataLoader(iterator(rec), num_workers=1, multiprocessing_context="spawn")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=way), pytest.warns(UserWarning, match="Got pickle error"):
        next(iter(spawning))
    spawning.dataset.close()
