"""A second thread whose steps fall among those of the first as a seed says, so that a run can be repeated exactly."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from faults import disk_recorder


@contextmanager
def stepped_threads(module: Any, seed: int) -> Iterator[None]:
    """Replace the ``WorkerThreads`` of *module*: its jobs do a step while the caller is about to do one, or none.

    A step is one operation on the disk, as it is recorded. Only one of the two threads runs at any moment.
    """
    rng = random.Random(seed)
    jobs: list[_Job] = []

    def start_threads(_count: int, _name: str) -> _Threads:
        return _Threads(jobs)

    def before_step() -> None:
        job = next((job for job in jobs if job.is_this_thread()), None)
        if job is not None:
            job.pause()
        else:
            jobs[:] = [job for job in jobs if not job.done]
            while jobs and not jobs[0].done and rng.random() < 0.5:
                jobs[0].advance()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WorkerThreads", start_threads)
        patch.setattr(disk_recorder, "before_step", before_step)
        yield


class _Threads:
    def __init__(self, jobs: list[_Job]) -> None:
        self._jobs = jobs

    def start(self, work: Callable[[Any, Any], Any], job: Any, pieces: list[Any]) -> _Job:
        self._jobs.append(_Job(lambda: [work(job, piece) for piece in pieces]))
        return self._jobs[-1]

    def shut_down(self, *, wait: bool) -> None:
        for job in self._jobs:
            job.run_to_end()
        self._jobs.clear()


class _Job:
    """Work in a thread that runs only inside :meth:`advance` of another thread, up to its next :meth:`pause`."""

    def __init__(self, work: Callable[[], list[Any]]) -> None:
        self.done = False
        self._work = work
        self._results: list[Any] = []
        self._error: BaseException | None = None
        self._may_go, self._has_paused = threading.Lock(), threading.Lock()  # locked: not yet
        self._may_go.acquire()
        self._has_paused.acquire()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._may_go.acquire()
        try:
            self._results = self._work()
        except BaseException as error:  # noqa: BLE001 - raised by results()
            self._error = error
        self.done = True
        self._has_paused.release()

    def is_this_thread(self) -> bool:
        return threading.current_thread() is self._thread

    def pause(self) -> None:
        self._has_paused.release()
        self._may_go.acquire()

    def advance(self) -> None:
        self._may_go.release()
        self._has_paused.acquire()

    def run_to_end(self) -> None:
        while not self.done:
            self.advance()
        self._thread.join()

    def results(self) -> list[Any]:
        self.run_to_end()
        if self._error is not None:
            raise self._error
        return self._results

    def cancel(self) -> None:
        """Do nothing: the work has begun."""
