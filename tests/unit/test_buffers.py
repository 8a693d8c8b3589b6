"""Leases of batch memory: it is filled again when the last array over it is gone, and never before."""

from __future__ import annotations

import gc
import sys
import threading
from typing import Any

import numpy as np
import pytest

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

LAYOUT = BatchLayout((4, 3, 5, 5), "float32", 2)
COUNT = 4


def address(array: np.ndarray[Any, Any]) -> int:
    return array.ctypes.data


@pytest.fixture(params=["threads", "processes"])
def pool(request: pytest.FixtureRequest) -> Any:
    """A pool of this process's memory or of shared memory, of which COUNT pieces can be free."""
    if request.param == "threads":
        yield MemoryPool(LAYOUT, COUNT)
        return
    shared = SharedBuffers(LAYOUT, COUNT, lambda: 0)
    yield shared
    shared.close()


def pieces_of(pool: MemoryPool | SharedBuffers) -> list[MemoryBlock]:
    return pool._blocks if isinstance(pool, MemoryPool) else pool._slots


def leased(pool: MemoryPool | SharedBuffers) -> int:
    """An address that a lease gives, which ends at once."""
    return address(pool.lease().data)


def test_arrays_have_their_shapes_and_lie_apart(pool: Any) -> None:
    buffer = pool.lease()
    for number, array in enumerate(buffer.arrays):
        array[...] = number
    data, label, ids = pool.deliver(buffer)

    assert [((4, 3, 5, 5), "float32"), ((4, 2), "float32"), ((4,), "uint64")] == [
        (array.shape, array.dtype.name) for array in (data, label, ids)
    ]
    assert [{0}, {1}, {2}] == [set(array.reshape(-1).tolist()) for array in (data, label, ids)]
    assert (4,) == BatchBuffer.new(BatchLayout((4, 1), "uint8", 1)).label.shape


def test_memory_that_nobody_has_is_leased_again(pool: Any) -> None:
    places = {leased(pool) for _ in range(20)}

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
    assert place in {leased(pool) for _ in range(COUNT)}


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_any_of_the_arrays_keeps_the_memory(pool: Any, kept: int) -> None:
    buffer = pool.lease()
    place = address(buffer.data)
    array = pool.deliver(buffer)[kept]

    assert place not in {leased(pool) for _ in range(COUNT)}
    del array
    assert place in {leased(pool) for _ in range(COUNT)}


def test_a_buffer_that_was_handed_out_does_not_hold_the_memory(pool: Any) -> None:
    buffer = pool.lease()
    arrays = pool.deliver(buffer)
    del arrays  # the buffer is still here, as one in a frame of an error is

    assert address(buffer.data) in {leased(pool) for _ in range(COUNT)}


def test_a_buffer_that_is_released_or_dropped_gives_its_memory_back_once(pool: Any) -> None:
    released = pool.lease()
    released.release()
    taken = [pool.lease() for _ in range(COUNT)]
    assert address(released.data) in {address(buffer.data) for buffer in taken}
    del released  # no second time
    gc.collect()
    assert COUNT == len({address(buffer.data) for buffer in taken}) == len(pieces_of(pool))
    assert not any(piece.is_free for piece in pieces_of(pool))


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


def test_no_more_free_memory_is_kept_than_is_asked_for() -> None:
    pool = MemoryPool(LAYOUT, 2)
    held = [pool.lease() for _ in range(5)]
    assert 5 == len(pool._blocks)
    held.clear()
    pool.lease()
    assert 2 == len(pool._blocks)


@pytest.mark.parametrize("step", range(60))
def test_an_interrupt_anywhere_loses_no_memory(pool: Any, step: int) -> None:
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
    gc.collect()  # what the interrupt held

    taken = [pool.lease() for _ in range(COUNT)]
    assert COUNT == len({address(buffer.data) for buffer in taken}) == len(pieces_of(pool))


def test_shared_memory_that_runs_out_is_copied_out_of() -> None:
    pool = SharedBuffers(LAYOUT, COUNT, lambda: 0)
    kept, copied = [], []
    for number in range(10):
        buffer = pool.lease()
        buffer.data[...] = number
        data, _, _ = pool.deliver(buffer)
        copied.append(address(data) != address(buffer.data))
        kept.append(data)

    assert [False, True] == [copied[0], copied[-1]]
    assert list(range(10)) == [int(data.max()) for data in kept] == [int(data.min()) for data in kept]
    pool.close()


def test_shared_memory_that_is_all_held_is_an_error_when_nothing_works_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "_MAX_POLLS", 2)
    pool = SharedBuffers(LAYOUT, COUNT, lambda: 0)
    held = [pool.lease() for _ in range(COUNT)]

    with pytest.raises(Im2RecError) as caught:
        pool.lease()
    assert "all memory for batches is in use (let go of batches and errors, or keep copies)" == str(caught.value)
    held.pop()
    assert pool.lease().slot in range(COUNT)
    pool.close()


def test_another_mapping_of_shared_memory_sees_what_is_written() -> None:
    pool = SharedBuffers(LAYOUT, COUNT, lambda: 0)
    handle = pool.handle if isinstance(pool.handle, str) else buffers.os.dup(pool.handle)
    others = attach_buffers(handle, LAYOUT, COUNT)
    buffer = pool.lease()
    others[buffer.slot].data[...] = 5
    others[buffer.slot].ids[...] = 2**64 - 1

    assert [{5.0}, {2**64 - 1}] == [set(array.reshape(-1).tolist()) for array in (buffer.data, buffer.ids)]
    pool.close()


def test_reused_buffers_are_filled_again_with_the_batch_after_the_next_whoever_has_the_arrays() -> None:
    pool = ReusedBuffers(MemoryPool(LAYOUT, COUNT))
    places = []
    for _ in range(6):
        data, _, _ = pool.deliver(pool.lease())
        places.append(address(data))

    assert [*places[:2]] * 3 == places
    assert 2 == len(set(places))
