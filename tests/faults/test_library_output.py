"""What image libraries print on descriptor 2 stays off the terminal in our processes, and is left alone in others."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import image_payload, write_rec
from image_helpers import DEADLINE_S, POSIX, command, encoded, texture

LIBRARY = "os.write(2, b'printed by a library')"  # as C code does, past sys.stderr


def program(source: str, code: int = 0, **environ: str) -> str:
    """Return what a new Python prints on stderr that runs *source* and ends with *code*."""
    done = subprocess.run(
        [sys.executable, "-c", f"import os, sys; {source}"],
        env={**os.environ, **environ},
        capture_output=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert code == done.returncode
    return done.stderr.decode().replace("\r", "")


HIDE = "from im2rec.library_output import hide_library_output as hide; hide()"


def test_only_what_goes_through_sys_stderr_is_shown() -> None:
    assert "ours\n" == program(f"{HIDE}; {LIBRARY}; print('ours', file=sys.stderr)")


def test_processes_that_are_started_later_are_quiet_too() -> None:
    assert "" == program(f"{HIDE}; import subprocess; subprocess.run([sys.executable, '-c', '1 / 0'])")


@POSIX
def test_the_report_of_a_crash_is_shown_where_python_is_asked_for_it() -> None:
    shown = program(f"import faulthandler; faulthandler.enable(); {HIDE}; os.kill(os.getpid(), 11)", code=-11)
    assert "Segmentation fault" in shown


def test_everything_is_shown_on_request_and_where_stderr_is_no_descriptor() -> None:
    printed = "printed by a library"

    assert printed == program(f"{HIDE}; {LIBRARY}", IM2REC_DEBUG="1")
    assert printed == program(f"import io; sys.stderr = io.StringIO(); {HIDE}; {LIBRARY}")
    assert printed == program(f"sys.stderr = None; {HIDE}; {LIBRARY}")


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    """A ``.rec`` of a JPEG and of a TIFF so damaged that libtiff complains."""
    tiff, rng = bytearray(encoded(texture(40, 40), "TIFF", compression="tiff_lzw")), random.Random(1)
    tiff[60:200] = rng.randbytes(140)
    payloads = [image_payload(n, content=content) for n, content in enumerate([encoded(texture()), bytes(tiff)])]
    return write_rec(tmp_path / "noisy.rec", payloads)


BATCHES = "import im2rec; it = im2rec.ImageRecordIter(path_imgrec={!r}, data_shape=(3, 16, 16), batch_size=2"


def test_a_program_that_uses_the_library_keeps_its_descriptors(noisy: Path) -> None:
    code = BATCHES.format(str(noisy)) + f", on_error='skip', verbose=0); next(it); it.close(); {LIBRARY}"

    shown = program(code)
    assert "tempfile.tif" in shown
    assert shown.endswith("printed by a library")


def test_commands_and_their_workers_show_their_own_lines_alone(noisy: Path) -> None:
    words = ("--data-shape", "3,24,24", "on_error=skip", "-q")
    runs = {
        "verify": command("inspect", noisy, "--verify", "--workers", 2, "-q"),
        "sheet": command("inspect", noisy, "--sheet", noisy.with_name("sheet.png"), "-q"),
        "threads": command("iterate", noisy, *words),
        "processes": command("iterate", noisy, *words, "backend=processes", "preprocess_threads=2"),
    }

    shown = {name: ran.err.splitlines() for name, ran in runs.items()}
    assert {"verify": 0, "sheet": 0, "threads": 1, "processes": 1} == {name: len(err) for name, err in shown.items()}
    assert all(line.startswith("warning: ") for err in shown.values() for line in err)
    assert "tempfile.tif" in command("inspect", noisy, "--verify", "-q", "--debug").err


@pytest.mark.parametrize("workers", [1, 2])
def test_packing_shows_no_message_of_libtiff(noisy: Path, workers: int) -> None:
    root = noisy.parent / "photos"
    assert 0 == command("extract", noisy, root, "-q").code
    (lst,) = root.glob("*.lst")
    words = ("pack", lst, root, noisy.with_name("again.rec"), "--max-bad", "100%", "-q", "--workers", workers)

    assert (3, "") == command(*words)[::2]
    assert "tempfile.tif" in command(*words, "--force", "--debug").err
