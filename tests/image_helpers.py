"""Helpers of many tests: drawn images, folders and lists of them, and ways to run a command.

Functions that run in spawned workers are defined here too, where a worker can import them.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import multiprocessing.connection
import os
import random
import select
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from im2rec.cli.group import main
from im2rec.format.irheader import ImageRecord, decode_image_record
from im2rec.format.recordio import read_records
from im2rec.storage.journal import journal_path

GOLDEN_IMAGES = Path(__file__).parent / "golden" / "recordio" / "images"
SAMPLE_PHOTOS = Path(__file__).parent.parent / "sample_data" / "photos"
CONSOLE_SCRIPT = Path(sys.executable).with_name("im2rec.exe" if os.name == "nt" else "im2rec")
DEADLINE_S = 60.0  # of a poll: long enough for a loaded machine, but a hanging test still ends
PROC = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc")
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and named pipes are POSIX")
# Beside o.rec, of a pack that was cut short after its first record.
KEPT = ["o.idx.im2rec-partial", "o.rec.im2rec-journal", "o.rec.im2rec-partial"]
_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".gif": "GIF", ".webp": "WEBP"}


class Ran(NamedTuple):
    """Exit code, stdout and stderr of a command."""

    code: int
    out: str
    err: str


def im2rec(*words: object) -> Ran:
    """Run ``im2rec`` with the arguments *words* in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as stopped:
        main([os.fspath(word) if isinstance(word, os.PathLike) else str(word) for word in words])
    code = stopped.value.code
    assert isinstance(code, int)
    return Ran(code, *(stream.detach().getvalue().decode() for stream in flushed(out, err)))


def typed(line: str, *more: object) -> Ran:
    """Run ``im2rec`` in this process with the arguments in *line*, split as by a shell, and *more*."""
    return im2rec(*shlex.split(line), *more)


def flushed(*streams: Any) -> Iterator[Any]:
    """Yield *streams*, each flushed."""
    for stream in streams:
        stream.flush()
        yield stream


def command(*words: object, **options: Any) -> Ran:
    """Run ``im2rec`` with the arguments *words* in a new process."""
    line = [sys.executable, "-m", "im2rec", *(os.fspath(w) if isinstance(w, os.PathLike) else str(w) for w in words)]
    done = subprocess.run(line, capture_output=True, check=False, timeout=60, **options)
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


def started(*words: object, before: str = "") -> subprocess.Popen[bytes]:
    """Start ``im2rec`` as the leader of a new process group, as a shell does; the code *before* runs in it first."""
    code = ["-c", f"{before}; from im2rec.cli import main; main()"] if before else ["-m", "im2rec"]
    line = [sys.executable, *code, *map(str, words)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


def ended(process: subprocess.Popen[bytes]) -> Ran:
    """Wait for *process*; after the deadline, kill its whole group and fail."""
    try:
        out, err = process.communicate(timeout=DEADLINE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        pytest.fail(f"{process.args!r} hangs")
    return Ran(process.returncode, out.decode(), err.decode())


def until(true: Callable[[], Any], what: str) -> None:
    """Poll *true* until it returns a true value; fail after the deadline, with *what* was expected."""
    end = time.monotonic() + DEADLINE_S
    while not true():
        if time.monotonic() > end:
            pytest.fail(f"did not happen: {what}")
        select.select([], [], [], 0.005)


def texture(height: int = 24, width: int = 36, channels: int = 3, seed: int = 0) -> np.ndarray[Any, Any]:
    """A uint8 image without flat areas: two slopes, different ones in each channel, and noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.arange(height)[:, None, None], np.arange(width)[None, :, None]
    channel = np.arange(channels)
    slopes = rows * (5 + channel) + columns * (3 + 2 * channel) + 40 * channel
    return ((slopes + rng.integers(0, 24, (height, width, channels))) % 256).astype(np.uint8)


def deep_texture(height: int = 24, width: int = 36) -> np.ndarray[Any, Any]:
    """A uint16 image of one channel, (height, width), made of two textures: its high and its low bytes."""
    low, high = texture(height, width, 1, seed=1), texture(height, width, 1, seed=2)
    return high[:, :, 0].astype(np.uint16) << 8 | low[:, :, 0]


def any_file(rng: random.Random, side: int) -> bytes:
    """A random file: mostly a JPEG that the compiled decoder supports, else one it does not, a damaged one or a PNG."""
    height, width = rng.choice([(side, side), (10, 30), (33, 25), (60, 41), (200, 300), (12, 9)])
    pixels = texture(height, width, rng.choice([1, 3, 3, 3]), seed=rng.randrange(1000))
    exif = Image.Exif()
    if rng.random() < 0.1:
        exif[274] = rng.randrange(1, 9)
    kind = "PNG" if rng.random() < 0.1 else "JPEG"
    options = {"progressive": rng.random() < 0.1, "subsampling": rng.randrange(3)} if kind == "JPEG" else {}
    file = io.BytesIO()
    Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0]).save(file, kind, exif=exif, **options)
    content = file.getvalue()
    damage = rng.randrange(12)
    if damage == 0:
        return content[: rng.randrange(len(content))]
    if damage == 1:
        at = rng.randrange(len(content))
        return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
    return content + b"stray" if damage == 2 else content


def encoded(image: Image.Image | np.ndarray[Any, Any], kind: str = "JPEG", **options: Any) -> bytes:
    """*image* as a file of Pillow's format *kind*."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def write_images(root: Path, names: Iterable[str], *, height: int = 24, width: int = 36) -> Path:
    """Fill the folder *root* with images of different textures, in the formats of their suffixes; return it."""
    for seed, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = _FORMATS[path.suffix.lower()]
        path.write_bytes(encoded(texture(height + seed % 3, width + seed % 5, seed=seed), kind))
    return root


def write_list(path: Path, names: Iterable[str], *, first_id: int = 0, labels: str = "1") -> Path:
    """Write a list of *names* with consecutive ids from *first_id* on; return its path."""
    lines = (f"{id_}\t{labels}\t{name}\n" for id_, name in enumerate(names, first_id))
    path.write_bytes("".join(lines).encode("utf-8", "surrogateescape"))
    return path


def a_list_of_images(folder: Path, count: int = 3, suffix: str = ".jpg") -> tuple[Path, Path]:
    """Write a list file and its root folder with *count* images; return both."""
    names = [f"{number}{suffix}" for number in range(count)]
    return write_list(folder / "l.lst", names), write_images(folder / "root", names)


def records_of(path: Path) -> list[ImageRecord]:
    """The records of a ``.rec``, decoded to header and content, without an index."""
    return [decode_image_record(payload) for payload in read_records(io.BytesIO(path.read_bytes()))]


def pixels_of(content: bytes) -> np.ndarray[Any, Any]:
    """The pixels of *content* by Pillow, unconverted: (height, width, channels)."""
    with Image.open(io.BytesIO(content)) as image:
        pixels = np.asarray(image)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def pixels_sha256(content: bytes) -> str:
    """``pixels_rgb_order_sha256`` of golden files: of samples row by row, R G B (A), 16 bits little-endian."""
    pixels = pixels_of(content)
    return hashlib.sha256(pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()).hexdigest()


def sampling_of(jpeg: bytes) -> list[tuple[int, int]]:
    """Horizontal and vertical sampling of each component, from the frame header of a baseline JPEG."""
    at = jpeg.index(b"\xff\xc0")
    return [(jpeg[at + 11 + 3 * n] >> 4, jpeg[at + 11 + 3 * n] & 15) for n in range(jpeg[at + 9])]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def left_in(folder: Path) -> list[str]:
    """The names of temporary files and journals of outputs."""
    return [name for name in names_in(folder) if ".im2rec-" in name]


# Code that makes a run read pipes as if they were files, which it refuses otherwise: for started(before=...).
READ_PIPES = (
    "from im2rec.storage import files; files._READ_FLAGS = files.os.O_RDONLY; files.check_regular = lambda status: None"
)
# Code that makes a pack save its first state with its first records, however fast they come: for wait_for_state().
SAVE_AT_ONCE = "from im2rec.storage import checkpoints; checkpoints.SAVE_S = 0"


def wait_for_state(rec: Path) -> None:
    """Return when the pack of *rec*, started with ``SAVE_AT_ONCE``, has saved a state from which another can go on."""
    journal = journal_path(rec)
    until(lambda: _latest_state(journal), f"{journal} has a state")


def _latest_state(journal: Path) -> bytes:
    with contextlib.suppress(FileNotFoundError):
        return journal.read_bytes()[2 << 16 :]  # behind the places of two synchronised states
    return b""


@contextlib.contextmanager
def held_pipe(path: Path) -> Iterator[HeldPipe]:
    """Make a named pipe at *path*: a worker that reads it as an image waits until :meth:`HeldPipe.release`.

    The run must have been started with ``READ_PIPES``.
    """
    os.mkfifo(path)
    pipe = HeldPipe(path)
    try:
        yield pipe
    finally:
        pipe.release()


class HeldPipe:
    """The writing end of a named pipe: a worker that opens the other end blocks inside its chunk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = -1

    def wait_for_reader(self) -> None:
        """Return when a worker has opened the pipe and waits for its first byte."""

        def opened() -> bool:
            with contextlib.suppress(OSError):  # ENXIO: no reader yet
                self._handle = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
            return self._handle >= 0

        until(opened, f"a process reads {self.path}")

    def reader_is_gone(self) -> bool:
        poll = select.poll()
        poll.register(self._handle, 0)
        return any(events & select.POLLERR for _, events in poll.poll(0))

    def reader(self) -> int:
        """The id of the process that has the pipe open, from /proc, which may list it after the pipe has a reader."""
        found: list[int] = []

        def open_somewhere() -> bool:
            found[:] = [pid for pid in processes() if pid != os.getpid() and self._is_open_in(pid)]
            return bool(found)

        until(open_somewhere, f"a process has {self.path} open")
        (pid,) = found
        return pid

    def _is_open_in(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return any(link.exists() and link.samefile(self.path) for link in Path(f"/proc/{pid}/fd").iterdir())
        return False

    def release(self) -> None:
        """Close the pipe, so that the reader gets the end of the file. Releasing twice is allowed."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def processes(group: int | None = None, parent: int | None = None) -> list[int]:
    """The ids of all running processes, or of those of one *group* or one *parent*, from /proc."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, *ids = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            if state != "Z" and parent in (None, int(ids[0])) and group in (None, int(ids[1])):
                found.append(int(folder.name))
    return found


# Work for spawned workers.


def square(number: int) -> int:
    return number * number


def square_and_pid(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def square_but_not_five(number: int) -> int:
    if number == 5:
        raise ValueError("five")
    return number * number


def die_at_five(number: int) -> int:
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def block(path: str | None) -> None:
    """Make the file *path*, if it is one, and work on it for ever."""
    if path is not None:
        Path(path).touch()
    threading.Event().wait()


def die_while_answering(number: int) -> bytes:
    """Die in the middle of sending a large answer, as when the out-of-memory killer strikes."""
    if number == 5:
        real = multiprocessing.connection.Connection._send  # type: ignore[attr-defined]

        def send(self: Any, data: Any, *rest: Any) -> None:
            if len(data) > 1000:
                real(self, bytes(data)[:1000], *rest)
                os.kill(os.getpid(), signal.SIGKILL)
            real(self, data, *rest)

        multiprocessing.connection.Connection._send = send  # type: ignore[attr-defined]
    return bytes(100_000)
