"""The epochs of a data set that several processes loop over, in memory that all of them share.

A DataLoader starts a worker process for each share of a loop, or lets persistent workers loop again, and the data set
in the parent process learns of neither. So each worker writes down which loop it is in and the epoch of that loop. The
first worker of a loop takes the epoch after the last one that any process has begun; the others find the loop in the
table and take the same one, also where a loop before it ended so early that only some of its workers had begun it.
"""

from __future__ import annotations

import multiprocessing
import operator
import re
from typing import Any, SupportsIndex

import numpy as np
import torch
from torch.utils.data import get_worker_info

from im2rec.errors import ParameterError
from im2rec.hashing import hash64

MAX_WORKERS = 1024
MAX_EPOCH = (1 << 31) - 2
# The table has a row for each worker, by its id, and one for the process that made the data set. Its first column holds
# the epoch of the loop that was begun, plus 1, and 32 bits of a hash that names the loop, 0 for none: in one word, as
# workers of a loop begin it at the same moment and must not read one without the other. The second one holds the number
# of the first worker process of the loop, and in the last row the number of states that were loaded. The third one has
# the epoch of the next loop, the largest of all rows: apart from the first, as it may be set while a loop begins, whose
# other workers must not take it.
_WORD, _NUMBER, _NEXT = 0, 1, 2
_PARENT = -1
_EPOCH_SHIFT = 32
_LOOP_MASK = (1 << _EPOCH_SHIFT) - 1


class Epochs:
    """The table of the epochs that the processes have begun; copies of it in other processes share its memory."""

    def __init__(self) -> None:
        self._table = torch.zeros((MAX_WORKERS + 1, 3), dtype=torch.int64).share_memory_()
        self._loops = 0  # that this process began as a worker

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._table.share_memory_()  # a copy that pickle made outside of multiprocessing is not shared

    @property
    def _rows(self) -> Any:
        return self._table.numpy()  # over the same memory

    @property
    def next(self) -> int:
        """The epoch of the next loop."""
        return int(self._rows[:, _NEXT].max())

    def set_next(self, epoch: SupportsIndex) -> None:
        """Let the next loop of any process be *epoch*; loops that were begun keep theirs.

        Raises ParameterError if it is no whole number, negative, or too large.
        """
        self._rows[:, _NEXT] = _checked(epoch)

    def is_next(self, epoch: SupportsIndex) -> bool:
        """True if *epoch* is the next one, and if no process has begun it or a later one."""
        return bool((self._rows[:, _NEXT] == _checked(epoch)).all())

    def begin(self, epoch: int | None = None) -> int:
        """Write down that this process begins a loop, and return its epoch: *epoch*, or the next one."""
        info = get_worker_info()
        if info is None:
            epoch = self.next if epoch is None else epoch
            self.forget_workers()
            self._rows[_PARENT, _WORD] = (epoch + 1) << _EPOCH_SHIFT
            self._rows[_PARENT, _NEXT] = epoch + 1
            return epoch
        if info.num_workers > MAX_WORKERS:
            raise ParameterError(f"num_workers={info.num_workers} must be {MAX_WORKERS} or less")
        self._loops += 1
        loop, first = _loop_hash(info.seed - info.id, self._loops), _process_number() - info.id
        # Read before the words: a worker that has begun meanwhile has written its word first.
        following, rows = self.next, self._rows.copy()
        # The seed alone does not name a loop: a program may seed its generator anew before each. Nor does the number of
        # the first process: between two workers of a loop another thread may have started a process.
        is_near = abs(rows[:, _NUMBER] - first) < info.num_workers
        is_this_loop = (rows[:, _WORD] & _LOOP_MASK == loop) & is_near
        is_first = not is_this_loop.any()
        if epoch is not None:  # of a loaded state: other processes may have begun a later one before
            others = ~is_this_loop
            self._rows[others, _NEXT] = np.minimum(self._rows[others, _NEXT], epoch)
        elif is_first:
            epoch = following
        else:
            epoch = int(rows[is_this_loop, _WORD].max() >> _EPOCH_SHIFT) - 1
        self._rows[info.id, _NUMBER] = first
        self._rows[info.id, _WORD] = (epoch + 1) << _EPOCH_SHIFT | loop
        if is_first:  # the others leave it, as it may have been set since
            self._rows[info.id, _NEXT] = epoch + 1
        return epoch

    @property
    def were_begun_by_workers(self) -> bool:
        """True if workers began a loop after the last one of the process that made the data set."""
        return bool((self._rows[:, _WORD] & _LOOP_MASK).any())

    def forget_workers(self) -> None:
        """Let no loop count as one that workers have begun."""
        self._rows[:, _WORD] &= ~_LOOP_MASK

    @property
    def loads(self) -> int:
        """The number of states that were loaded in the process that made the data set."""
        return int(self._rows[_PARENT, _NUMBER])

    def count_load(self) -> None:
        """Count a state that was loaded in the process that made the data set."""
        self._rows[_PARENT, _NUMBER] += 1


def _checked(epoch: SupportsIndex) -> int:
    try:
        number = operator.index(epoch)
    except TypeError:
        number = -1
    if not 0 <= number <= MAX_EPOCH:
        raise ParameterError(f"epoch={epoch!r} must be 0 to {MAX_EPOCH}")
    return number


def _loop_hash(seed: int, number: int) -> int:
    return hash64(seed, number) & _LOOP_MASK or 1


def _process_number() -> int:
    """Return the number of this process among the children of its parent, in which its name ends unless it was given.

    Source: Python's documentation of ``multiprocessing.Process.name``.
    """
    found = re.search(r"\d+$", multiprocessing.current_process().name)
    return int(found.group()) if found else 0
