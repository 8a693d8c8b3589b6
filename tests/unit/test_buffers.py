"""Batch buffers: memory is filled again when the last array over it is gone, and never before."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_helpers import POSIX

from im2rec.errors import Im2RecError
from im2rec.pipeline import buffers
from im2rec.pipeline.buffers import (
    BatchBuffer,
    BatchLayout,
    MemoryBlock,
    MemoryPool,
    ReusedBuffers,
    SharedBuffers,
    attach_buffers,
)

LAYOUT = BatchLayout((4, 3, 5, 5), "float32", 2)  # data of 1200 bytes, labels of 32, ids of 32
PAGE = 4096
COUNT = 4


def address(array: np.ndarray[Any, Any]) -> int:
    return array.ctypes.data


@pytest.fixture(scope="module", autouse=True)
def _quick_collections() -> Iterator[None]:
    """Leave what other modules have imported out of the many garbage collections here, which take 0.2 s else."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(params=["threads", "processes"])
def pool(request: pytest.FixtureRequest) -> Any:
    """Memory of this process or shared memory, of which COUNT blocks can be free."""
    if request.param == "threads":
        yield MemoryPool(LAYOUT, COUNT)
        return
    shared = SharedBuffers(LAYOUT, COUNT, lambda: 0)
    yield shared
    shared.close()


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each sleep while a slot is waited for; none is slept."""
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        assert len(naps) < 2000, "waits for ever"

    monkeypatch.setattr(buffers.time, "sleep", sleep)
    return naps


def blocks_of(pool: MemoryPool | SharedBuffers) -> list[MemoryBlock]:
    return pool._blocks if isinstance(pool, MemoryPool) else pool._slots


def address_of_a_lease(pool: MemoryPool | SharedBuffers) -> int:
    """The address of a buffer that is leased and dropped at once."""
    return address(pool.lease().data)


# The arrays of a batch


def test_arrays_have_their_shapes_and_do_not_overlap(pool: Any) -> None:
    buffer = pool.lease()
    for number, array in enumerate(buffer.arrays):
        array[...] = number
    data, label, ids = pool.deliver(buffer)

    assert [((4, 3, 5, 5), "float32"), ((4, 2), "float32"), ((4,), "uint64")] == [
        (array.shape, array.dtype.name) for array in (data, label, ids)
    ]
    assert [{0}, {1}, {2}] == [set(array.reshape(-1).tolist()) for array in (data, label, ids)]


def test_labels_of_one_number_have_no_second_axis() -> None:
    assert (4,) == BatchBuffer.new(BatchLayout((4, 1), "uint8", 1)).label.shape


def test_each_array_starts_on_a_page_of_its_own() -> None:
    shared = SharedBuffers(LAYOUT, COUNT, lambda: 0)
    taken = [shared.lease() for _ in range(2)]

    assert 3 * PAGE == LAYOUT.size
    assert [0] * 6 == [address(array) % PAGE for buffer in taken for array in buffer.arrays]
    assert [PAGE, PAGE] == np.diff([address(array) for array in taken[0].arrays]).tolist()
    assert (1 + 4 + 8) * PAGE == BatchLayout((PAGE,), "uint8", 1).size  # where arrays fill their pages, none is added
    shared.close()


def test_a_new_buffer_is_zeros_without_filler() -> None:
    buffer = BatchBuffer.new(LAYOUT)

    assert not any(array.any() for array in buffer.arrays)
    assert 0 == buffer.pad


# Leases


def test_memory_without_an_owner_is_leased_again(pool: Any) -> None:
    places = {address_of_a_lease(pool) for _ in range(20)}

    assert len(places) <= COUNT


@pytest.mark.parametrize("part", [lambda data: data, lambda data: data[0], lambda data: data[2, 1, :, ::2].T])
def test_a_view_keeps_the_memory_when_its_batch_is_gone(pool: Any, part: Any) -> None:
    buffer = pool.lease()
    buffer.data[...] = 7
    data, label, ids = pool.deliver(buffer)
    place, kept = address(data), part(data)
    del buffer, data, label, ids

    for _ in range(2 * COUNT):
        other = pool.lease()
        assert place != address(other.data)
        other.data[...] = 1
        del other
    assert {7.0} == set(kept.reshape(-1).tolist())
    del kept
    assert place in {address_of_a_lease(pool) for _ in range(COUNT)}


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_any_of_the_arrays_keeps_the_memory(pool: Any, kept: int) -> None:
    buffer = pool.lease()
    place = address(buffer.data)
    array = pool.deliver(buffer)[kept]

    assert place not in {address_of_a_lease(pool) for _ in range(COUNT)}
    del array
    assert place in {address_of_a_lease(pool) for _ in range(COUNT)}


def test_a_delivered_buffer_does_not_keep_the_memory(pool: Any) -> None:
    buffer = pool.lease()
    arrays = pool.deliver(buffer)
    del arrays  # the buffer is still here, as one in a frame of an error is

    assert address(buffer.data) in {address_of_a_lease(pool) for _ in range(COUNT)}


def test_a_buffer_that_is_released_or_dropped_gives_its_memory_back_once(pool: Any) -> None:
    released = pool.lease()
    released.release()
    taken = [pool.lease() for _ in range(COUNT)]
    assert address(released.data) in {address(buffer.data) for buffer in taken}
    del released  # no second time
    gc.collect()
    assert COUNT == len({address(buffer.data) for buffer in taken}) == len(blocks_of(pool))
    assert not any(block.is_free for block in blocks_of(pool))


def test_memory_comes_back_from_any_thread_and_from_the_garbage_collector(pool: Any) -> None:
    circle: list[Any] = [pool.deliver(pool.lease())]
    circle.append(circle)
    box = [pool.deliver(pool.lease())]
    places = {address(circle[0][0]), address(box[0][0])}
    thread = threading.Thread(target=box.clear)
    thread.start()
    thread.join()
    del circle
    gc.collect()

    taken = [pool.lease() for _ in range(COUNT)]
    assert places <= {address(buffer.data) for buffer in taken}


def test_a_pool_keeps_no_more_free_memory_than_it_may() -> None:
    pool = MemoryPool(LAYOUT, 2)
    held = [pool.lease() for _ in range(5)]
    assert 5 == len(pool._blocks)
    held.clear()
    pool.lease()
    assert 2 == len(pool._blocks)


@pytest.mark.parametrize("step", range(60))
def test_an_interrupt_on_any_line_loses_no_memory(pool: Any, step: int) -> None:
    lines: list[int] = []

    def interrupt(frame: Any, event: str, _: object) -> Any:
        if frame.f_code.co_filename != buffers.__file__:
            return None
        if event == "line":
            lines.append(frame.f_lineno)
            if len(lines) == step:
                raise KeyboardInterrupt
        return interrupt

    try:
        sys.settrace(interrupt)
        pool.deliver(pool.lease())
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)
    gc.collect()  # frames that the interrupt kept

    taken = [pool.lease() for _ in range(COUNT)]
    assert COUNT == len({address(buffer.data) for buffer in taken}) == len(blocks_of(pool))


# Shared memory


def test_batches_are_copied_out_when_shared_memory_runs_out() -> None:
    pool = SharedBuffers(LAYOUT, COUNT, lambda: 0)
    kept, is_copy = [], []
    for number in range(10):
        buffer = pool.lease()
        for array in buffer.arrays:
            array[...] = number
        arrays = pool.deliver(buffer)
        is_copy.append(address(arrays[0]) != address(buffer.data))
        kept.append(arrays)

    # With each of the first two kept, two slots or more are free at the next delivery; from then on only one is.
    assert [False, False] + [True] * 8 == is_copy
    assert [{number} for number in range(10)] == [{int(v) for a in arrays for v in a.flat} for arrays in kept]
    pool.close()


def test_a_buffer_whose_batch_was_copied_is_free_at_once() -> None:
    pool = SharedBuffers(LAYOUT, 1, lambda: 0)
    buffer = pool.lease()
    kept = pool.deliver(buffer)

    assert address(buffer.data) == address(pool.lease().data)  # though something refers to both
    assert address(buffer.data) != address(kept[0])
    pool.close()


def test_waiting_for_a_slot_ends_when_the_memory_is_closed(naps: list[float]) -> None:
    pool = SharedBuffers(LAYOUT, 1, lambda: len(naps) < 3 or (pool.close(), True)[1])
    _held = pool.lease()

    with pytest.raises(Im2RecError, match=r"^the memory for batches is closed$"):
        pool.lease()


def test_shared_memory_without_a_free_slot_is_an_error_when_no_thread_works_on_it(
    naps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    collections: list[int] = []
    monkeypatch.setattr(buffers.gc, "collect", lambda: collections.append(len(naps)))
    pool = SharedBuffers(LAYOUT, COUNT, lambda: 0)
    held = [pool.lease() for _ in range(COUNT)]

    with pytest.raises(Im2RecError) as caught:
        pool.lease()
    assert "all memory for batches is in use (let go of batches and errors, or keep copies)" == str(caught.value)
    assert 0.5 <= sum(naps) <= 2  # seconds: work that was just done may free one
    assert 1 == len(collections)  # in a large program each takes long
    held.pop()
    assert pool.lease().slot in range(COUNT)
    pool.close()


def test_a_free_slot_is_waited_for_as_long_as_a_thread_is_at_work(naps: list[float]) -> None:
    def busy() -> int:
        if len(naps) == 1000:
            held.clear()  # by a thread that ends
            return 0
        return 1

    pool = SharedBuffers(LAYOUT, 1, busy)
    held = [pool.lease()]

    assert 0 == pool.lease().slot
    assert 0.01 * 1000 <= sum(naps) < 0.01 * 1010
    pool.close()


@pytest.mark.usefixtures("naps")
def test_a_slot_in_a_reference_cycle_is_collected_when_none_is_free() -> None:
    pool = SharedBuffers(LAYOUT, 1, lambda: 0)
    gc.disable()
    try:
        circle: list[Any] = [pool.lease()]
        circle.append(circle)
        del circle
        assert 0 == pool.lease().slot
    finally:
        gc.enable()
    pool.close()


def test_another_mapping_of_shared_memory_shows_what_is_written() -> None:
    pool = SharedBuffers(LAYOUT, COUNT, lambda: 0)
    handle = pool.handle if isinstance(pool.handle, str) else os.dup(pool.handle)
    others = attach_buffers(handle, LAYOUT, COUNT)
    taken = [pool.lease() for _ in range(COUNT)]
    for buffer in taken:
        others[buffer.slot].data[...] = buffer.slot
        others[buffer.slot].ids[...] = 2**64 - 1

    assert [*range(COUNT)] == [buffer.slot for buffer in taken]
    assert [{float(n)} for n in range(COUNT)] == [set(buffer.data.reshape(-1).tolist()) for buffer in taken]
    assert [{2**64 - 1}] * COUNT == [set(buffer.ids.tolist()) for buffer in taken]
    pool.close()


@POSIX
def test_handles_are_closed_and_the_memory_stays_with_its_arrays() -> None:
    pool = SharedBuffers(LAYOUT, COUNT, lambda: 0)
    assert isinstance(pool.handle, int)
    handle, other = pool.handle, os.dup(pool.handle)
    buffer = pool.lease()
    (theirs, *_) = attach_buffers(other, LAYOUT, COUNT)
    pool.close()
    pool.close()

    for closed in (handle, other):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(closed)
    theirs.label[...] = 3
    assert {3.0} == set(buffer.label.flat)


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the system has no files in memory")
def test_shared_memory_is_a_file_in_memory_and_not_on_disk() -> None:
    pool = SharedBuffers(LAYOUT, COUNT, lambda: 0)

    assert os.readlink(f"/proc/self/fd/{pool.handle}").startswith("/memfd:im2rec")  # noqa: PTH115 - not a real path
    pool.close()


@POSIX
def test_where_there_are_no_files_in_memory_shared_memory_is_a_deleted_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr(buffers.tempfile, "tempdir", str(tmp_path))
    pool = SharedBuffers(LAYOUT, COUNT, lambda: 0)
    assert isinstance(pool.handle, int)
    (theirs, *_) = attach_buffers(os.dup(pool.handle), LAYOUT, COUNT)
    theirs.label[...] = 3

    assert {3.0} == set(pool.lease().label.flat)
    assert [] == [*tmp_path.iterdir()]
    pool.close()


def test_on_windows_processes_share_a_mapping_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    mappings: dict[str, bytearray] = {}

    def mapping(descriptor: int, size: int, *, tagname: str) -> bytearray:
        assert -1 == descriptor  # memory, not a file
        return mappings.setdefault(tagname, bytearray(size))

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(buffers.mmap, "mmap", mapping)
    pool, unrelated = SharedBuffers(LAYOUT, COUNT, lambda: 0), SharedBuffers(LAYOUT, COUNT, lambda: 0)
    (theirs, *_) = attach_buffers(pool.handle, LAYOUT, COUNT)
    theirs.label[...] = 3

    assert {3.0} == set(pool.lease().label.flat)
    assert {0.0} == set(unrelated.lease().label.flat)
    assert [COUNT * LAYOUT.size] * 2 == [len(memory) for memory in mappings.values()]
    pool.close()
    unrelated.close()


# Reused buffers


def test_reused_buffers_are_filled_again_with_the_batch_after_the_next_even_if_the_arrays_are_kept() -> None:
    source = MemoryPool(LAYOUT, COUNT)
    reused = ReusedBuffers(source)
    kept = []
    for number in range(6):
        buffer = reused.lease()
        buffer.data[...] = number
        kept.append(reused.deliver(buffer)[0])
        del buffer

    assert [4, 5] * 3 == [int(data.max()) for data in kept]
    assert 2 == len(source._blocks)


def test_a_reused_buffer_is_not_filled_again_before_the_next_batch_is_taken() -> None:
    reused = ReusedBuffers(MemoryPool(LAYOUT, COUNT))
    data, _, _ = reused.deliver(reused.lease())

    assert address(data) not in {address(buffer.data) for buffer in [reused.lease() for _ in range(COUNT)]}
