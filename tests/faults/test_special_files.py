"""Pipes, devices and folders where a command expects a file: refused at once, in one line, with exit code 4."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import image_payload, write_rec
from image_helpers import Ran, a_list_of_images, im2rec, names_in

from im2rec.extraction.resumable_folder import MARKER
from im2rec.inspection.survey import survey

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")

NOT_A_FILE = "is a pipe, not a regular file"
COMMANDS = {
    "a list": "pack PIPE root o.rec",
    "a label list": "iterate x.rec path_imglist=PIPE",
    "a label list of a given width": "iterate x.rec path_imglist=PIPE label_width=1",
    "a mean image": "iterate x.rec mean_img=PIPE",
    "an index": "iterate x.rec path_imgidx=PIPE",
    "an index of inspect": "inspect x.rec --idx PIPE",
    "a rec": "inspect PIPE",
    "a rec to extract": "extract PIPE new",
    "classes of extract": "extract x.rec new --classes PIPE",
    "classes of make-list": "make-list root --classes PIPE",
    "CSV": "iterate --kind csv data_csv=PIPE data_shape=2 batch_size=1",
    "LibSVM": "iterate --kind libsvm data_libsvm=PIPE data_shape=2 batch_size=1",
    "MNIST": "iterate --kind mnist image=PIPE label=PIPE batch_size=1",
    "an archive": "import cifar10 new --from PIPE",
}


@contextlib.contextmanager
def pipe_at(path: Path) -> Iterator[None]:
    """Make a named pipe at *path*; whoever waits for its writer gets one after a minute, so that a test fails."""
    os.mkfifo(path)
    timer = threading.Timer(60, lambda: os.close(os.open(path, os.O_RDWR)))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a list, images below ``root``, a ``.rec`` and a pipe ``PIPE``."""
    monkeypatch.chdir(tmp_path)
    a_list_of_images(tmp_path)
    write_rec(
        tmp_path / "x.rec", [image_payload(n, content=(tmp_path / "root" / "0.jpg").read_bytes()) for n in (0, 1)]
    )
    with pipe_at(tmp_path / "PIPE"):
        yield tmp_path


@pytest.mark.parametrize("case", COMMANDS)
def test_a_pipe_in_place_of_an_input_is_refused_and_never_waited_for(here: Path, case: str) -> None:
    hint = ": a list is read twice (save it to a file first)" if " list" in case else " (name a file)"
    before = names_in(here)
    assert Ran(4, "", f"im2rec: PIPE: {NOT_A_FILE}{hint}\n") == im2rec(*COMMANDS[case].split())
    assert before == names_in(here)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("case", COMMANDS)
def test_a_device_in_place_of_an_input_is_refused_and_not_read(case: str) -> None:
    hint = ": a list is read twice (save it to a file first)" if " list" in case else " (name a file)"
    expected = f"im2rec: /dev/zero: is a device, not a regular file{hint}\n"
    assert Ran(4, "", expected) == im2rec(*COMMANDS[case].replace("PIPE", "/dev/zero").split())


def test_a_property_file_or_a_journal_that_is_a_pipe_is_not_waited_for(here: Path) -> None:
    os.mkfifo(here / "property")
    assert 2 == survey(here / "x.rec").records

    (here / "new.im2rec-partial").mkdir()
    os.mkfifo(here / "new.im2rec-partial" / MARKER)
    expected = "im2rec: new.im2rec-partial: holds no journal that can be read (remove it)\n"
    assert Ran(1, "", expected) == im2rec("extract", "x.rec", "new")


def test_special_files_in_a_list_are_bad_lines_and_the_rest_is_packed(here: Path) -> None:
    (here / "root" / "sub.jpg").mkdir()
    os.mkfifo(here / "root" / "pipe.jpg")
    (here / "root" / "large.jpg").touch()
    os.truncate(here / "root" / "large.jpg", 60 << 30)
    paths = ["0.jpg", "pipe.jpg", "/dev/zero", "sub.jpg", "large.jpg", "1.jpg"]
    (here / "l.lst").write_text("".join(f"{n}\t0\t{path}\n" for n, path in enumerate(paths)))
    for words in (" --dry-run", ""):
        done = im2rec(*f"pack l.lst root o.rec unchanged=1 --workers 1 --json{words}".split())
        summary = json.loads(done.out)
        assert (3, 2) == (done.code, summary["images"])
        assert {"unreadable": 3, "too large for a record": 1} == summary["bad"]
