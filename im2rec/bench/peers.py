"""MXNet's iterator and DALI's reader beside ours: on the same file, in turns, each in an interpreter of its own.

In turns, because whatever else the machine does then meets all of them alike.
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
from im2rec.bench.timing import Rate, TimedRun, in_rounds
from im2rec.errors import Im2RecError, InputError, ParameterError
from im2rec.iterators.image_record import ImageRecordIter, loader_of
from im2rec.pipeline.params import ImageRecordParams

_OURS = "im2rec"
_ROUNDS = 5
_ANSWERS_S = 120.0  # for an answer that is due: MXNet alone takes seconds to be imported
_ENDS_S = 5.0
_SCRIPT = Path(__file__).with_name("peer_script.py")
_NOT_INHERITED = ("PYTHONPATH", "PYTHONHOME", "OPENBLAS_NUM_THREADS")  # another Python, and a limit of our own
_MXNET_PREFETCH = 16
# What another feed must do as well to be compared. The other parameters every feed is given in its own way, or they
# decide how we work, or what the last batch and the draws are: no part of the speed of another feed.
_COMPARED = {"path_imglist", "num_parts", "part_index", "layout"} | (
    {field.name for field in dataclasses.fields(AugmentationParams)} - {"shuffle", "seed", "seed_aug"}
)
_DALI_KNOWS = {"rand_crop", "rand_mirror", "mirror", "resize", "inter_method", "scale", "random_resized_crop"}
_DALI_KNOWS |= {"min_random_area", "max_random_area", "min_aspect_ratio", "max_aspect_ratio"}
_DALI_KNOWS |= {f"{name}_{color}" for name in ("mean", "std") for color in "rgb"}


def _note(name: str, it: ImageRecordIter) -> str:
    """What is to be known beside its rate."""
    if name == "mxnet":
        return "mxnet lowers its threads to half the CPUs"
    resizes = it.params.resize > 0 or it.params.random_resized_crop
    return "dali resizes with antialiasing" if resizes else ""


class PeerError(Im2RecError):
    """A peer did not run."""


def check_peers(pythons: Mapping[str, str]) -> None:
    """Raise ParameterError for a peer that is not known, InputError for a Python that is none."""
    for name, python in pythons.items():
        if name not in WORDS:
            raise ParameterError(f"--against {name}={python} must name {' or '.join(WORDS)}")
        if shutil.which(python) is None:
            raise InputError(f"{python}: is no program that can be run", hint=f"name the Python that has {name}")


def take_turns(
    it: ImageRecordIter, ours: TimedRun, pythons: Mapping[str, str], *, seconds: float
) -> tuple[Rate, list[Peer]]:
    """*ours*, which times the like of *it*, and each peer by its name, in rounds of about *seconds* each in all."""
    with contextlib.ExitStack() as stack:
        feeds = [_PeerRun(name, python) for name, python in pythons.items()]
        for feed in feeds:
            stack.callback(feed.close)
            feed.start(it)
        running = {feed.name: feed.turn for feed in feeds if not feed.failure}
        found = in_rounds({_OURS: ours, **running}, seconds, rounds=_ROUNDS)
    return found[_OURS], [feed.found for feed in feeds]


def mxnet_words(it: ImageRecordIter) -> dict[str, Any]:
    """The parameters of *it* in MXNet's own names, and the batches to warm up with. Raises PeerError."""
    params = _shared(it)
    for field, value in _changed(it):
        if field.metadata["reference"].startswith("ours"):
            raise PeerError(f"mxnet knows no {field.name}={value}")
        params[field.name] = list(value) if isinstance(value, tuple) else value
    return {"params": {**params, "label_width": loader_of(it).label_width}, "warm": _MXNET_PREFETCH + 1}


def dali_words(it: ImageRecordIter) -> dict[str, Any]:
    """The same for DALI. Raises PeerError for what it has no operator for, and without an index."""
    for field, value in _changed(it):
        if field.name not in _DALI_KNOWS:
            raise PeerError(f"dali is not asked for {field.name}={value}")
    params = _shared(it)
    if not params["path_imgidx"]:
        raise PeerError("dali needs an index beside the .rec")
    if params["dtype"] not in ("float32", "uint8"):
        raise PeerError(f"dali is not asked for dtype={params['dtype']}")
    more = {name: getattr(it.params, name) for name in _DALI_KNOWS}
    return {"params": params | more, "warm": it.params.prefetch_buffer + 1}


def _changed(it: ImageRecordIter) -> Iterator[tuple[dataclasses.Field[Any], Any]]:
    """Those of the compared parameters that are not what they are by default."""
    for field in dataclasses.fields(it.params):
        value = getattr(it.params, field.name)
        if field.name in _COMPARED and value != field.default:
            yield field, value


WORDS = {"mxnet": mxnet_words, "dali": dali_words}


def _shared(it: ImageRecordIter) -> dict[str, Any]:
    params: ImageRecordParams = it.params
    files = loader_of(it).records.files
    if len(files) != 1:
        raise PeerError("only a single file is read side by side")
    file = files[0]
    index = "" if file.index_path is None else os.fspath(file.index_path.resolve())
    own = {"path_imgrec": os.fspath(file.path.resolve()), "path_imgidx": index, "dtype": params.data_dtype}
    shared = ("batch_size", "shuffle", "preprocess_threads", "prefetch_buffer")
    return {**own, "data_shape": list(params.shape), **{name: getattr(params, name) for name in shared}}


class _PeerRun:
    """A peer: runs until it fails, or is closed."""

    def __init__(self, name: str, python: str) -> None:
        self.name = name
        self.failure = ""
        self._python = python
        self._process: _PeerProcess | None = None
        self._version = self._note = ""
        self._rates: list[float] = []

    def start(self, it: ImageRecordIter) -> None:
        """Make its iterator of what *it* is made of."""
        self._note = _note(self.name, it)
        try:
            self._process = _PeerProcess(self.name, self._python, WORDS[self.name](it))
            self._version = str(self._process.answer(0)["version"])
            self._process.pause()
        except PeerError as error:
            self._fail(error)

    def turn(self, seconds: float) -> list[float]:
        """Its images a second over about *seconds*; 0 once it has failed."""
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
    def found(self) -> Peer:
        """What came of it."""
        if self.failure:
            return Peer(self.name, self._version, None, self.failure)
        return Peer(self.name, self._version, Rate.of(self._rates), self._note)

    def close(self) -> None:
        """End its process; again is fine."""
        process, self._process = self._process, None
        if process is not None:
            process.close()


class _PeerProcess:
    """A peer's Python, and its answers. Raises PeerError when it cannot be started."""

    def __init__(self, name: str, python: str, words: dict[str, Any]) -> None:
        self._name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        environment = {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED}
        try:
            self._process = subprocess.Popen(
                [python, os.fspath(_SCRIPT), name, json.dumps(words)],
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
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def images_per_s(self, seconds: float) -> float:
        """Let it go on for about *seconds*. Raises PeerError."""
        assert self._process.stdin is not None
        self._signal("SIGCONT")
        with contextlib.suppress(OSError):  # of one that is gone: its silence tells
            self._process.stdin.write(f"{seconds}\n")
            self._process.stdin.flush()
        found = self.answer(seconds)
        self.pause()
        return float(found["images"]) / float(found["seconds"])

    def pause(self) -> None:
        """Stop it where it stands, so that it does not work ahead while others have their turn."""
        self._signal("SIGSTOP")

    def _signal(self, name: str) -> None:
        if hasattr(signal, name):  # not on Windows, for which no peer is made
            self._process.send_signal(getattr(signal, name))

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def answer(self, seconds: float) -> dict[str, Any]:
        """The next JSON object, which is due in *seconds*. Raises PeerError."""
        try:
            line = self._answers.get(timeout=_ANSWERS_S + seconds)
        except queue.Empty:
            raise PeerError(f"{self._name} gave no answer in {_ANSWERS_S:.0f} s") from None
        if not line:
            raise PeerError(f"{self._name} ended: {self._last_words()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def _last_words(self) -> str:
        self._process.wait(_ENDS_S)
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()]
        return lines[-1][:200] if lines else f"exit code {self._process.returncode}, without a word"

    def close(self) -> None:
        """End the process; again is fine."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()
