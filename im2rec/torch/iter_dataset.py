"""RecordIterDataset: batches of ImageRecordIter as tensors, for a DataLoader with any number of workers and ranks."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

from im2rec.errors import Im2RecError, ParameterError
from im2rec.iterators.image_record import ImageRecordIter
from im2rec.pipeline.params import DISCARD, EVEN, KEEP, MXNET
from im2rec.storage.files import Closeable
from im2rec.torch import states
from im2rec.torch.epochs import Epochs
from im2rec.torch.ranks import AUTO, rank_and_world

if TYPE_CHECKING:
    from collections.abc import Sequence

Batch = tuple[torch.Tensor, torch.Tensor]
# Parameters of ImageRecordIter that follow from those of the data set, and the one to set instead.
_OURS = {
    "path_imgrec": "path",
    "num_parts": "world",
    "part_index": "rank",
    "last_batch": "drop_last",
    "round_batch": "drop_last",
    "equal_batches": "drop_last",
}
# In a worker of a DataLoader, unless they are given. The workers are many already, and the loader asks each for several
# batches ahead; two more would be decoded in vain at the end of each epoch.
_IN_WORKER = {"preprocess_threads": 1, "prefetch_buffer": 1}
_LOG = logging.getLogger("im2rec")


class RecordIterDataset(Closeable, IterableDataset[Batch]):
    """Batches of the images in ``.rec`` files as tensors, for ``DataLoader(dataset, batch_size=None)`` or a plain loop.

    >>> from im2rec.torch import RecordIterDataset
    >>> from torch.utils.data import DataLoader
    >>> ds = RecordIterDataset("photos_train.rec", batch_size=16, data_shape=(3, 112, 112), shuffle=True)
    >>> for epoch in range(2):
    ...     ds.set_epoch(epoch)
    ...     for data, label in DataLoader(ds, batch_size=None):
    ...         print(epoch, data.shape, label[:3])
    0 torch.Size([16, 3, 112, 112]) tensor([2., 4., 2.])
    0 torch.Size([16, 3, 112, 112]) tensor([1., 2., 3.])
    1 torch.Size([16, 3, 112, 112]) tensor([4., 3., 2.])
    1 torch.Size([16, 3, 112, 112]) tensor([0., 3., 0.])

    *data* is a tensor of shape (rows, channels, height, width), float32, in RGB order, of which ``dtype`` and
    ``layout`` change type and axis order; *label* is float32 of shape (rows,), or (rows, label_width) if there are
    several labels. Both share the memory that the images were decoded to; only a worker process copies them once, to
    hand them over. *parameters* are those of ImageRecordIter, and *path* is its ``path_imgrec``.

    Batches, their order and ``len()`` are the same for any number of workers: worker w of W makes the batches w, w + W,
    w + 2 W ... of its rank, and a DataLoader takes them in turn. ``num_workers=0`` is the fastest, as the batches are
    decoded on ``preprocess_threads`` threads and reach the loop without a copy.

    The *world* ranks share the records. With one rank the last batch has the rows that are left. With several, all have
    the same number of batches of the same sizes: a rank with a record less than others takes one from the start of the
    epoch, as DistributedSampler does. *drop_last* leaves out the last batch if it is not full. *rank* and *world*
    ``auto`` are those of torch.distributed, else RANK and WORLD_SIZE of the environment, else 0 and 1, as they are in
    the process that makes the data set.

    Each loop is an epoch, the one after the last that was begun, unless :meth:`set_epoch` names another.
    With ``on_error=skip`` bad records are left out: of one rank such a batch is shorter. If no record of it is good, it
    is left out itself, and with workers others come before their turn. Of several ranks, and with *drop_last*, other
    rows of the batch are repeated instead, and a batch of which no record is good raises Im2RecError.

    The constructor raises ParameterError, InputError or CorruptRecordError as ImageRecordIter does. A batch with a bad
    record raises BadRecordError; the next one is the batch after it.

    Source: torch.utils.data, ``IterableDataset`` and ``DistributedSampler``; torchdata.stateful_dataloader.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        batch_size: int,
        data_shape: Sequence[int] | int | str,
        rank: int | str = AUTO,
        world: int | str = AUTO,
        drop_last: bool = False,
        **parameters: Any,
    ) -> None:
        for name in parameters:
            if name in _OURS:
                raise ParameterError(f"{name} is set by {_OURS[name]}", hint=f"give {_OURS[name]} alone")
        self.rank, self.world = rank_and_world(rank, world)
        self.drop_last = drop_last
        replays = parameters.get("rng") == MXNET
        if replays and self.world > 1 and not drop_last:
            problem = f"rng={MXNET} has no batches of equal sizes for several ranks"
            raise ParameterError(problem, hint="set drop_last=True")
        self._parameters = {
            **parameters,
            "path_imgrec": path,
            "batch_size": batch_size,
            "data_shape": data_shape,
            "num_parts": self.world,
            "part_index": self.rank,
            # Both give the rows that are left of one rank; with rng=mxnet the first one is not there.
            "last_batch": DISCARD if drop_last else KEEP if replays else EVEN,
        }
        self._epochs = Epochs()
        self._loaded: Mapping[str, Any] | None = None  # loaded in this process, for workers that are made later
        self._loads = 0
        self._local: _Local | None = None
        self._is_closed = False
        iterator = self._in_this_process().iterator
        if iterator.params.reuse_buffers:
            iterator.close()
            raise ParameterError("reuse_buffers=1 must be 0: tensors keep the memory of their batch")
        self._length = len(iterator)

    def __len__(self) -> int:
        """Return the number of batches of a whole epoch of this rank, with any number of workers."""
        return self._length

    def __iter__(self) -> Iterator[Batch]:
        """Begin a loop over the next epoch. In a plain loop it begins with the first batch that is taken."""
        batches = _Batches(self)
        if get_worker_info() is not None:
            try:
                self._begin(batches)
            except Exception as error:  # noqa: BLE001 - raised with the first batch: here it would end a persistent worker
                batches.error = error
        return batches

    def set_epoch(self, epoch: int) -> None:
        """Let the next loop be *epoch*, counted from 0, also in workers that are running and wait for it.

        If that is the epoch of a state that was loaded before, its loop continues where the state was taken. Raises
        ParameterError if *epoch* is negative.
        """
        if not self._epochs.is_next(epoch):
            self._loaded = None
        self._epochs.set_next(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the epoch as plain values, which JSON keeps, to resume from.

        It is that of the process that loops. With workers, which make batches ahead, the state is to be had from a
        StatefulDataLoader: here it raises ParameterError. ``rng=mxnet`` has no states either.
        """
        info = get_worker_info()
        if info is None and self._epochs.were_begun_by_workers:
            problem = "the data set does not know which batches of its workers were used"
            raise ParameterError(problem, hint="ask a torchdata StatefulDataLoader for its state_dict()")
        local = self._in_this_process()
        if local.loop is None and info is None:
            self._place(local, self._epochs.next)
        worker, workers = (info.id, info.num_workers) if info else (0, 0)
        return states.make(local.iterator.state_dict(), worker, workers)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue where *state_dict* was taken: the next loop has the batches that were left of its epoch.

        It may come from this method's counterpart or from a StatefulDataLoader with any number of workers, and
        of any rank among any number of ranks: what is left of the epoch is then shared out among the present ones. With
        workers it has to be loaded before they start. Raises ParameterError or InputError for a state of other
        parameters or files, naming what differs.
        """
        local, info = self._in_this_process(), get_worker_info()
        loaded = states.of_worker(state_dict, info.id, info.num_workers) if info else states.of_rank(state_dict)
        local.iterator.load_state_dict(loaded)
        local.loop, local.is_resumed = None, True
        if info is None:
            self._epochs.set_next(local.iterator.epoch)
            self._epochs.count_load()
            self._epochs.forget_workers()
            self._loads = self._epochs.loads
            self._loaded = loaded

    def close(self) -> None:
        """Close the files and end the threads of this process; no loop begins afterwards. Closing twice is allowed."""
        self._is_closed = True
        if self._local is not None:
            self._local.iterator.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_local": None}

    def __repr__(self) -> str:
        """Name the data, the rank and the number of batches."""
        path, shape = self._parameters["path_imgrec"], self._parameters["data_shape"]
        size = self._parameters["batch_size"]
        ranks = f", rank {self.rank} of {self.world}" if self.world > 1 else ""
        return (
            f"<RecordIterDataset {str(path)!r}, data_shape={shape}, batch_size={size}{ranks}, {self._length} batches>"
        )

    def _in_this_process(self) -> _Local:
        """Return the iterator of this process, and open it if there is none: that of a parent process is not ours."""
        if self._is_closed:
            raise Im2RecError("the data set is closed", hint="make a new one")
        if self._local is None or self._local.pid != os.getpid():
            self._local = _Local(self._open())
        return self._local

    def _open(self) -> ImageRecordIter:
        info = get_worker_info()
        if info is None:
            return ImageRecordIter(**self._parameters)
        level = _LOG.level
        _LOG.setLevel(logging.ERROR)  # the parent process has logged what there is to say on opening
        try:
            iterator = ImageRecordIter(**{**_IN_WORKER, **self._parameters})
        finally:
            _LOG.setLevel(level)
        iterator.take_turns(info.id, info.num_workers)
        return iterator

    def _begin(self, batches: _Batches) -> None:
        """Begin the loop *batches*: in this process no other one goes on."""
        local, info = self._in_this_process(), get_worker_info()
        if info is not None and self._loads != self._epochs.loads:
            problem = "a state was loaded into the data set while its workers were running"
            raise Im2RecError(problem, hint="make a new DataLoader after load_state_dict()")
        if info is not None and local.is_resumed:
            epoch = self._epochs.begin(local.iterator.epoch)
        else:
            epoch = self._epochs.begin()
            if info is not None:
                self._resume_in_worker(local, epoch)
        self._place(local, epoch)
        local.loop, local.is_resumed = batches, False

    def _resume_in_worker(self, local: _Local, epoch: int) -> None:
        """Load the state that was loaded in the parent process, if it is one of *epoch*."""
        loaded, self._loaded = self._loaded, None  # later loops of this worker begin epochs of their own
        info = get_worker_info()
        if loaded is not None and loaded["epoch"] == epoch:
            local.iterator.load_state_dict(loaded)
            local.iterator.take_turns(info.id, info.num_workers)
            local.is_resumed = True

    def _place(self, local: _Local, epoch: int) -> None:
        """Let the iterator continue at the start of *epoch*, or in the middle of it if a state was loaded."""
        if not (local.is_resumed and local.iterator.epoch == epoch):
            local.iterator.set_epoch(epoch)

    def _next(self, batches: _Batches) -> Batch:
        """Return the next batch of the loop *batches*; raises StopIteration at its end."""
        local = self._in_this_process()
        if local.loop is not batches:
            if batches.is_begun:
                raise Im2RecError("another loop over the data set has begun", hint="make a data set for each loop")
            self._begin(batches)
        batches.is_begun = True
        while True:
            try:
                batch = local.iterator.next()
            except StopIteration:
                local.loop = None
                batches.is_ended = True
                raise
            (data,), (label,) = batch.data, batch.label or ()
            good = len(data) - (batch.pad or 0)
            if not good and self.world == 1 and not self.drop_last:
                continue  # on_error=skip left no row
            if not good:
                problem = (
                    f"no record of a batch of epoch {local.iterator.epoch} is good, and batches must be of one size"
                )
                raise Im2RecError(problem, hint="see the warnings, or set a larger batch_size")
            rows = len(data) if self.drop_last else good  # with drop_last, what pad counts are repeated rows
            return torch.from_numpy(data[:rows]), torch.from_numpy(label[:rows])


class _Local:
    """The iterator of one process, and its place.

    *loop* is the loop that is going on, None between two of them; *is_resumed* is true from the loading of a state to
    the next loop.
    """

    def __init__(self, iterator: ImageRecordIter) -> None:
        self.iterator = iterator
        self.pid = os.getpid()
        self.loop: _Batches | None = None
        self.is_resumed = False


class _Batches(Iterator[Batch]):
    """One loop over a data set. No generator: an error is raised in place of its batch and does not end the loop."""

    def __init__(self, dataset: RecordIterDataset) -> None:
        self._dataset = dataset
        self.is_begun = False
        self.is_ended = False
        self.error: Exception | None = None

    def __next__(self) -> Batch:
        if self.is_ended:
            raise StopIteration
        if self.error is not None:
            raise self.error
        return self._dataset._next(self)  # noqa: SLF001 - the two are one
