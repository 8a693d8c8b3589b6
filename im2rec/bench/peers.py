"""MXNet's iterator and DALI's reader next to ours: on the same file, in turns, each in its own Python interpreter.

They take turns because other load on the machine then slows all of them alike.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from im2rec.augment.params import AugmentationParams
from im2rec.bench.report import Peer
from im2rec.bench.timing import ProgressSteps, Rate, TimedRun, in_rounds
from im2rec.errors import Im2RecError, InputError, ParameterError
from im2rec.iterators.image_record import ImageRecordIter, loader_of
from im2rec.pipeline.params import ImageRecordParams

_OURS = "im2rec"
ROUNDS_OF_PEERS = 5
_ANSWER_TIMEOUT_S = 120.0  # beyond the time that is measured: the import of MXNet alone takes seconds
_EXIT_TIMEOUT_S = 5.0
_MODULES = {"mxnet": "mxnet", "dali": "nvidia.dali"}  # to be found by the interpreter of each peer
_SCRIPT = Path(__file__).with_name("peer_script.py")
_NOT_INHERITED = ("PYTHONPATH", "PYTHONHOME", "OPENBLAS_NUM_THREADS")  # of another Python, and a limit that we set
_MXNET_PREFETCH = 16
# A peer must do the same as these parameters ask to be comparable. The other ones are passed to each peer in its own
# way, or change nothing about its speed: our backends, the last batch, the seeds.
_COMPARED_PARAMS = {"path_imglist", "num_parts", "part_index", "layout"} | (
    {field.name for field in dataclasses.fields(AugmentationParams)} - {"shuffle", "seed", "seed_aug"}
)
_DALI_PARAMS = {"rand_crop", "rand_mirror", "mirror", "resize", "inter_method", "scale", "random_resized_crop"}
_DALI_PARAMS |= {"min_random_area", "max_random_area", "min_aspect_ratio", "max_aspect_ratio"}
_DALI_PARAMS |= {f"{name}_{color}" for name in ("mean", "std") for color in "rgb"}


def _note(name: str, it: ImageRecordIter) -> str:
    """Return a note that qualifies the rate of the peer *name*, or nothing."""
    if name == "mxnet":
        return "mxnet lowers its threads to half the CPUs"
    resizes = it.params.resize > 0 or it.params.random_resized_crop
    return "dali resizes with antialiasing" if resizes else ""


class PeerError(Im2RecError):
    """A peer did not run."""


def check_peers(pythons: Mapping[str, str]) -> None:
    """Raise ParameterError for an unknown peer, InputError for an interpreter that cannot be run or lacks the peer."""
    for name, python in pythons.items():
        if name not in PEER_SETTINGS:
            raise ParameterError(f"--against {name}={python} must name {' or '.join(PEER_SETTINGS)}")
        if shutil.which(python) is None:
            raise InputError("is not a program that can be run", path=python, hint=f"name the Python that has {name}")
        look = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({_MODULES[name]!r}) is None)"
        if subprocess.run([python, "-c", look], stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode:
            raise InputError(f"has no {name}", path=python, hint=f"name the Python that has {name}")


def run_with_peers(
    it: ImageRecordIter,
    ours: TimedRun,
    pythons: Mapping[str, str],
    *,
    seconds: float,
    steps: ProgressSteps | None = None,
) -> tuple[Rate, list[Peer]]:
    """Time *ours* and each peer in rounds, for about *seconds* each in all.

    *ours* runs an iterator with the parameters of *it*; *pythons* maps each peer to its interpreter. A peer that fails
    is in the result with the reason; the others go on. Each turn is one of *steps*.
    """
    with contextlib.ExitStack() as stack:
        peers = [_PeerRun(name, python) for name, python in pythons.items()]
        steps = steps or ProgressSteps(1, None)
        steps.set_remaining(ROUNDS_OF_PEERS * (1 + len(peers)))
        for peer in peers:
            stack.callback(peer.close)
            peer.start(it)
        running = {peer.name: peer.run for peer in peers if not peer.failure}
        rates = in_rounds(
            {_OURS: ours, **running}, seconds, rounds=ROUNDS_OF_PEERS, before_each=steps.name, after_each=steps.advance
        )
    return rates[_OURS], [peer.result for peer in peers]


def mxnet_settings(it: ImageRecordIter) -> dict[str, Any]:
    """Return the parameters of *it* under MXNet's names, and the number of batches to warm up with.

    Raises PeerError if MXNet has no such parameter.
    """
    params = _shared_params(it)
    for field, value in _changed_params(it):
        if field.metadata["reference"].startswith("ours"):
            raise PeerError(f"mxnet has no {field.name}={value}")
        params[field.name] = list(value) if isinstance(value, tuple) else value
    return {"params": {**params, "label_width": loader_of(it).label_width}, "warm": _MXNET_PREFETCH + 1}


def dali_settings(it: ImageRecordIter) -> dict[str, Any]:
    """Return the parameters of *it* for DALI, and the number of batches to warm up with.

    Raises PeerError for a parameter that our DALI pipeline does not implement, and if there is no index.
    """
    for field, value in _changed_params(it):
        if field.name not in _DALI_PARAMS:
            raise PeerError(f"dali is not compared with {field.name}={value}")
    params = _shared_params(it)
    if not params["path_imgidx"]:
        raise PeerError("dali needs an index beside the .rec")
    if params["dtype"] not in ("float32", "uint8"):
        raise PeerError(f"dali is not compared with dtype={params['dtype']}")
    more = {name: getattr(it.params, name) for name in _DALI_PARAMS}
    return {"params": params | more, "warm": it.params.prefetch_buffer + 1}


def _changed_params(it: ImageRecordIter) -> Iterator[tuple[dataclasses.Field[Any], Any]]:
    """Yield the fields and values of compared parameters that differ from their defaults."""
    for field in dataclasses.fields(it.params):
        value = getattr(it.params, field.name)
        if field.name in _COMPARED_PARAMS and value != field.default:
            yield field, value


PEER_SETTINGS = {"mxnet": mxnet_settings, "dali": dali_settings}


def _shared_params(it: ImageRecordIter) -> dict[str, Any]:
    """Return the parameters that every peer takes. Raises PeerError if *it* reads several files."""
    params: ImageRecordParams = it.params
    files = loader_of(it).records.files
    if len(files) != 1:
        raise PeerError("peers are timed on a single .rec only")
    file = files[0]
    index = "" if file.index_path is None else os.fspath(file.index_path.resolve())
    paths = {"path_imgrec": os.fspath(file.path.resolve()), "path_imgidx": index, "dtype": params.data_dtype}
    shared = ("batch_size", "shuffle", "preprocess_threads", "prefetch_buffer")
    return {**paths, "data_shape": list(params.shape), **{name: getattr(params, name) for name in shared}}


class _PeerRun:
    """The runs of one peer; *failure* is empty until it fails."""

    def __init__(self, name: str, python: str) -> None:
        self.name = name
        self.failure = ""
        self._python = python
        self._process: _PeerProcess | None = None
        self._version = self._note = ""
        self._rates: list[float] = []

    def start(self, it: ImageRecordIter) -> None:
        """Start the process, in which the peer makes its iterator with the parameters of *it*."""
        self._note = _note(self.name, it)
        try:
            self._process = _PeerProcess(self.name, self._python, PEER_SETTINGS[self.name](it))
            self._version = str(self._process.answer(0)["version"])
            self._process.pause()
        except PeerError as error:
            self._fail(error)

    def run(self, seconds: float) -> list[float]:
        """Run for about *seconds* and return the images per second; 0 once the peer has failed."""
        if self._process is None:
            return [0.0]
        try:
            self._rates.append(self._process.images_per_s(seconds))
        except PeerError as error:
            self._fail(error)
        return self._rates[-1:] or [0.0]

    def _fail(self, error: PeerError) -> None:
        self.failure = str(error)
        self.close()

    @property
    def result(self) -> Peer:
        """The peer's rate, or why it failed."""
        if self.failure:
            return Peer(self.name, self._version, None, self.failure)
        return Peer(self.name, self._version, Rate.of(self._rates), self._note)

    def close(self) -> None:
        """End the process. Closing twice is allowed."""
        process, self._process = self._process, None
        if process is not None:
            process.close()


class _PeerProcess:
    """A Python interpreter that runs peer_script.py with *settings*. Raises PeerError if it cannot be started."""

    def __init__(self, name: str, python: str, settings: dict[str, Any]) -> None:
        self._name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        environment = {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED}
        try:
            self._process = subprocess.Popen(
                [python, os.fspath(_SCRIPT), name, json.dumps(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=environment,
                text=True,
            )
        except OSError as error:
            self._errors.close()
            raise PeerError(f"{python}: cannot be run: {error.strerror}") from None
        self._answers: queue.Queue[str] = queue.Queue()
        # A thread, because a pipe cannot be read with a timeout on every platform.
        self._reader = threading.Thread(target=self._read_answers, daemon=True)
        self._reader.start()

    def images_per_s(self, seconds: float) -> float:
        """Resume the process for about *seconds* and return its rate. Raises PeerError if it ends or hangs."""
        assert self._process.stdin is not None
        self._signal("SIGCONT")
        with contextlib.suppress(OSError):  # it died; answer() reports it
            self._process.stdin.write(f"{seconds}\n")
            self._process.stdin.flush()
        answer = self.answer(seconds)
        self.pause()
        return float(answer["images"]) / float(answer["seconds"])

    def pause(self) -> None:
        """Suspend the process, so that it does not prefetch while others have their turn."""
        self._signal("SIGSTOP")

    def _signal(self, name: str) -> None:
        if hasattr(signal, name):  # not on Windows, for which no peer is made
            self._process.send_signal(getattr(signal, name))

    def _read_answers(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")  # the end

    def answer(self, seconds: float) -> dict[str, Any]:
        """Return the next JSON object, which is due in *seconds*. Raises PeerError if it does not come."""
        try:
            line = self._answers.get(timeout=_ANSWER_TIMEOUT_S + seconds)
        except queue.Empty:
            raise PeerError(f"{self._name} gave no answer in {_ANSWER_TIMEOUT_S:.0f} s") from None
        if not line:
            raise PeerError(f"{self._name} ended: {self._last_error_line()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_error_line(self) -> str:
        self._process.wait(_EXIT_TIMEOUT_S)
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()]
        return lines[-1][:200] if lines else f"exit code {self._process.returncode}, without a message"

    def close(self) -> None:
        """Kill the process and close its pipes. Closing twice is allowed."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()
