"""The base class of all iterators: epochs, MXNet's method names, and threads that share an iterator.

An iterator delivers one epoch after another. ``next()`` returns the next batch of the current epoch; at the end of the
epoch it raises StopIteration, and so does every further call. Only ``reset()`` begins the next epoch, and ``iter()``,
which every ``for`` loop calls, does the same. While no batch of an epoch was requested, ``reset()`` changes nothing:
``it.reset()`` before a loop, as programs for MXNet have it, begins one epoch and not two.

Batches come from a generator, the *stream*, which continues from one epoch to the next, so that the first batches of an
epoch are prefetched while the last ones of the epoch before are in use. The first ``next()`` opens it. A reset in the
middle of an epoch, an interrupt or a loaded state closes it; the next ``next()`` then opens another one at the first
batch that was not delivered.

Threads may share an iterator: a lock lets one at a time take a batch, so each batch is delivered once. ``close()`` does
not wait for the lock before it stops what another thread waits for in ``next()``.
"""

from __future__ import annotations

import abc
import contextlib
import os
import threading
from collections.abc import Generator
from typing import Any, Generic, NoReturn, TypeVar

from im2rec.errors import Im2RecError, ParameterError
from im2rec.iterators.batch import Array, DataBatch, DataDesc
from im2rec.parallel import end_with_program, stay_if_program_ends
from im2rec.pipeline.order import ALL_BATCHES
from im2rec.storage.files import Closeable

Self = TypeVar("Self", bound="BatchIterator[Any]")
T = TypeVar("T")
_EXIT_S = 5.0  # a program that ends does not wait longer for a daemon thread in next()


class BatchIterator(Closeable, abc.ABC, Generic[T]):
    """An iterator over batches, epoch after epoch. T is the type of the items in its stream: batches before conversion.

    ``iter()`` and :meth:`reset` begin the next epoch, unless no batch of the current one was requested. At the end of
    an epoch :meth:`next` raises StopIteration until one of them is called. The error of a batch is raised in place of
    that batch; the next call returns the batch after it.

    Several threads may take batches of an epoch: each batch is delivered once. ``for`` loops in several threads share
    an epoch, if they begin while it lasts. :meth:`close` may be called from any thread; one that waits in :meth:`next`
    then gets Im2RecError.

    Source of the method names: mxnet python/mxnet/io/io.py, ``MXDataIter``.
    """

    _for_data_loader = ""  # ends the errors that a DataLoader of PyTorch meets, with what to give it instead

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.epoch = 0
        self._length: int | None = None  # batches of this epoch, None until they are first needed
        self._stride = ALL_BATCHES
        # The number of the next batch in its epoch, after those that were returned, or whose error was raised.
        self._position = 0
        self._is_begun = False  # True once next() was called in this epoch: then reset() begins another one
        self._stream: Generator[T, None, None] | None = None
        self._current: DataBatch | None = None
        self._repeats_current = False
        # Reentrant, as a signal handler or a finalizer may call any method while next() is at work in the same thread.
        self._lock = threading.RLock()
        self._is_taking = False  # True while a batch is taken, under the lock
        self._loops_in: threading.Thread | None = None  # the last thread that began a for loop
        self._closed = False
        self._is_released = False
        self._owner_pid = os.getpid()
        end_with_program(self)

    @abc.abstractmethod
    def _count_batches(self, epoch: int) -> int:
        """Return the number of batches in *epoch*."""

    @abc.abstractmethod
    def _open_stream(self, epoch: int, batch: int) -> Generator[T, None, None]:
        """Return a generator of one item per batch, from *batch* of *epoch* on and through the epochs after it.

        The generator must not refer to the iterator. An iterator that is never closed is then freed as soon as the
        program drops it, and the generator and its threads end with it; in a reference cycle they would wait for the
        garbage collector.
        """

    @abc.abstractmethod
    def _make_batch(self, item: T) -> DataBatch:
        """Return the batch of an *item* of the stream. Raises the error of a batch that could not be read."""

    def _stop(self) -> None:
        """Let a thread that waits for an item of the stream have an error soon; called from any thread by close()."""

    @abc.abstractmethod
    def _release(self) -> None:
        """Close files, threads and processes; called once."""

    @property
    @abc.abstractmethod
    def provide_data(self) -> list[DataDesc]:
        """Name, shape, dtype and layout of ``data``."""

    @property
    @abc.abstractmethod
    def provide_label(self) -> list[DataDesc]:
        """Name, shape and dtype of ``label``."""

    def __len__(self) -> int:
        """Return the number of batches in the current epoch, which may differ from epoch to epoch."""
        with self._locked():
            return len(range(self._stride.first, self._count(), self._stride.step))

    def _locked(self) -> contextlib.AbstractContextManager[object]:
        # In a forked child another thread may have held the lock for ever; there is no such thread in the child.
        return self._lock if os.getpid() == self._owner_pid else contextlib.nullcontext()

    def _count(self) -> int:
        if self._length is None:
            self._length = self._count_batches(self.epoch)
        return self._length

    def __iter__(self: Self) -> Self:
        self._check_open()
        with self._lock:
            thread, other = threading.current_thread(), self._loops_in
            in_epoch = self._is_begun and self._position < self._count()
            if in_epoch and other is not None and other is not thread and other.is_alive():
                return self  # two loops share the epoch: neither takes the rest of it from the other
            self.reset()
            self._loops_in = thread
        return self

    def __next__(self) -> DataBatch:
        return self.next()

    def next(self) -> DataBatch:
        """Return the next batch of the epoch.

        Raises StopIteration at the end of the epoch, the error of a batch that has one, and Im2RecError after
        :meth:`close`.
        """
        self._check_open()  # before the lock, which no thread of a forked child can release
        try:
            with self._lock:
                return self._take()
        except BaseException:
            stay_if_program_ends()
            raise

    def _take(self) -> DataBatch:
        self._check_open()
        if self._is_taking:
            raise Im2RecError(
                "next() was called from a signal handler while next() is at work", hint="set a flag there"
            )
        self._is_taking = True
        try:
            batch = self._next_batch()
        except Exception as error:
            if self._closed and not isinstance(error, StopIteration):
                raise _closed_error() from None
            raise
        else:
            self._check_open()  # it may have been closed meanwhile
            return batch
        finally:
            self._is_taking = False
            if self._closed:  # meanwhile, by a signal handler or in another thread
                self.close()

    def _next_batch(self) -> DataBatch:
        if self._repeats_current and self._current is not None:
            return self._current
        if self._position >= self._count():
            self._is_begun = True  # otherwise reset() would never leave an epoch without batches
            raise StopIteration
        if self._stream is None:
            self._stream = self._open_stream(self.epoch, self._position)
        self._is_begun = True
        try:
            item = next(self._stream)
        except BaseException:
            # An interrupt, or an error that is not about one record. It ended the generator, and the batch was not
            # delivered: the next call opens another stream at the same batch.
            self._close_stream()
            raise
        self._position += self._stride.step
        try:
            self._current = self._make_batch(item)
        except Exception:
            raise  # the error of the batch, which counts as delivered
        except BaseException:
            # An interrupt: the item is lost and its batch is still due, so the next call has it made again.
            self._position -= self._stride.step
            self._close_stream()
            raise
        return self._current

    def reset(self) -> None:
        """Begin the next epoch, unless no batch of the current one was requested."""
        self._check_open()
        with self._lock:
            self._check_open()
            if not self._is_begun:
                return
            if self._position < self._count():
                self._close_stream()  # at the end of an epoch, the stream is at the next one already
            self._begin(self.epoch + 1)

    def set_epoch(self, epoch: int) -> None:
        """Continue with *epoch*, from its start, in place of the epoch that would be next.

        Does nothing if no batch of *epoch* was requested and it is the current one. Raises ParameterError if *epoch* is
        negative.
        """
        if epoch < 0:
            raise ParameterError(f"epoch={epoch} must be 0 or more")
        self._check_open()
        with self._lock:
            self._check_open()
            if epoch == self.epoch and not self._is_begun:
                return
            if epoch != self.epoch + 1 or self._position < self._count():
                self._close_stream()  # at the end of an epoch, the stream is at the next one already
            self._begin(epoch)

    def _begin(self, epoch: int) -> None:
        self.epoch, self._position, self._length = epoch, self._stride.first, None
        self._is_begun = False

    def _close_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def iter_next(self) -> bool:
        """Take the next batch, which the ``get`` methods then return parts of; False at the end of the epoch."""
        try:
            self.next()
        except StopIteration:
            return False
        return True

    def getdata(self) -> Array:
        """Return ``data[0]`` of the current batch."""
        return self._current_batch().data[0]

    def getlabel(self) -> Array:
        """Return ``label[0]`` of the current batch."""
        return self._current_batch().label[0]

    def getindex(self) -> Array:
        """Return the record ids of the current batch, uint64."""
        return self._current_batch().index

    def getpad(self) -> int:
        """Return the number of filler rows at the end of the current batch."""
        return self._current_batch().pad

    def _current_batch(self) -> DataBatch:
        if self._current is None:
            raise Im2RecError("no batch was taken yet", hint="call next() or iter_next() first")
        return self._current

    def debug_skip_load(self) -> None:
        """Make every further :meth:`next` return the current batch, or the first one if there is none yet.

        A training loop can then be timed without the time for loading.

        Source of the name: mxnet python/mxnet/io/io.py, ``MXDataIter``.
        """
        self._repeats_current = True

    def _check_open(self) -> None:
        if self._closed:
            raise _closed_error()
        if os.getpid() != self._owner_pid:  # a forked child has no copy of the threads: next() would wait forever
            raise Im2RecError("the iterator was made in another process", hint="make one in each")

    def close(self) -> None:
        """Stop all threads and close the files, from any thread. Closing twice is allowed.

        Every next() afterwards raises Im2RecError, and so does one that waits in another thread.
        """
        if os.getpid() != self._owner_pid:  # in a forked child, all of it belongs to the parent
            return
        if not self._closed:
            self._closed = True
            self._stop()
        with self._lock:
            if self._is_taking or self._is_released:  # taking: in this very thread, and next() closes at its end
                return
            self._is_released = True
            try:
                self._close_stream()
            finally:
                self._release()

    def _end_with_program(self) -> None:
        """Wait until a daemon thread has left next(), and let none enter it again.

        Python stops such a thread wherever it is, and inside a C++ library that would abort the program.
        """
        if os.getpid() == self._owner_pid:
            self._stop()
            self._lock.acquire(timeout=_EXIT_S)

    def __getitem__(self, _: object) -> NoReturn:
        # A DataLoader of PyTorch takes anything with a length for a data set with items.
        raise TypeError(f"{type(self).__name__} has no items: loop over it{self._for_data_loader}")

    def __getstate__(self) -> Any:
        way = f"make one in each process, or use state_dict(){self._for_data_loader}"
        raise TypeError(f"{type(self).__name__} cannot be pickled: {way}")


def _closed_error() -> Im2RecError:
    return Im2RecError("the iterator is closed", hint="make a new one")
