"""Reused memory: one buffer per name and thread, and arenas for several arrays at once."""

from __future__ import annotations

import threading

import numpy as np

from im2rec.images.scratch import Arena, scratch

MIB = 1 << 20


def test_memory_of_one_name_is_reused_at_any_size_that_fits() -> None:
    first = scratch("test reused", 1000)

    assert (1000,) == first.shape
    assert np.uint8 == first.dtype
    for size in (1000, 10, 1000):
        again = scratch("test reused", size)
        assert size == len(again)
        assert np.shares_memory(first, again)
    assert len(scratch("test reused", 2000)) == 2000
    assert np.shares_memory(scratch("test reused", 2000), scratch("test reused", 10))


def test_a_buffer_of_the_same_size_is_not_replaced() -> None:
    first = scratch("test same", 1000)

    assert first.ctypes.data == scratch("test same", 1000).ctypes.data


def test_names_and_threads_share_no_memory() -> None:
    first, of_thread = scratch("test apart", 1000), []
    thread = threading.Thread(target=lambda: of_thread.append(scratch("test apart", 1000)))
    thread.start()
    thread.join()

    assert not np.shares_memory(first, scratch("test other", 1000))
    assert not np.shares_memory(first, of_thread[0])


def test_buffers_above_32_mib_are_not_kept() -> None:
    kept = scratch("test large", 32 * MIB)
    assert np.shares_memory(kept, scratch("test large", 32 * MIB))

    large = scratch("test large", 32 * MIB + 1)
    assert 32 * MIB + 1 == len(large)
    assert not np.shares_memory(large, scratch("test large", 32 * MIB + 1))
    assert np.shares_memory(kept, scratch("test large", 100))


def test_arrays_of_an_arena_share_nothing_until_it_is_reset() -> None:
    arena = Arena("test arena", 100)
    arrays = [arena.take(size) for size in (40, 50, 30, 20, 20)]

    assert [40, 50, 30, 20, 20] == [len(array) for array in arrays]
    for number, array in enumerate(arrays):
        array[:] = number
    assert [0, 1, 2, 3, 4] == [int(array.max()) for array in arrays]
    arena.reset()
    whole = arena.take(100)
    assert [True, True, False, False, False] == [np.shares_memory(whole, array) for array in arrays]


def test_the_first_array_that_does_not_fit_is_reused_after_a_reset() -> None:
    for sizes in ((60, 50, 70), (100, 50, 70)):  # the memory partly used, or all of it
        arena = Arena("test overflow", 100)
        first = [arena.take(size) for size in sizes]
        arena.reset()
        second = [arena.take(size) for size in sizes]
        assert [True, True, False] == [np.shares_memory(*pair) for pair in zip(first, second, strict=True)]
        assert not np.shares_memory(first[0], first[1])


def test_arenas_of_one_name_share_their_memory() -> None:
    assert np.shares_memory(Arena("test shared", 100).take(10), Arena("test shared", 100).take(10))
    assert not np.shares_memory(Arena("test shared", 100).take(10), Arena("test unshared", 100).take(10))
