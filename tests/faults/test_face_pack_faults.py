"""``pack --profile`` with processes that are killed, wherever they are: the same words end with the same bytes."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import pytest
from face_pack_helpers import FILES, FaceCase, a_case
from image_helpers import (
    POSIX,
    PROC,
    READ_PIPES,
    SAVE_AT_ONCE,
    ended,
    held_pipe,
    im2rec,
    names_in,
    started,
    wait_for_state,
)
from pack_helpers import files_in

from im2rec.packing.params import PackParams

COUNT = 120
HELD = 41  # an image in the middle, in any order of the list
LEFT = ["train.idx.im2rec-partial", "train.labels.tsv.im2rec-partial", "train.rec.im2rec-journal"]
LEFT = [*LEFT, "train.rec.im2rec-partial"]
SMALL_CHUNKS = f"from im2rec.packing import pack; pack.MAX_CHUNK_LINES = 4; {SAVE_AT_ONCE}"
# Code that kills the run before the step AT of those that end it: the renames, and behind the header records.
KILLED = """
import os, signal
from im2rec.packing.partial_pack import PartialPack
from im2rec.storage import disk
steps = iter(range(1000))
def killing(real):
    def step(*args, **options):
        if next(steps) == {at}:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **options)
    return step
PartialPack.write_ending = killing(PartialPack.write_ending)
disk.rename_new = killing(disk.rename_new)
from im2rec.storage.checkpoints import Checkpoints
Checkpoints.finish = killing(Checkpoints.finish)
"""


@pytest.fixture
def case(tmp_path: Path) -> FaceCase:
    """Images of forty people, in no order; some are bad."""
    return a_case(tmp_path, [n * 7 % 40 for n in range(COUNT)], bad=[8, 9, 77])


def words_of(case: FaceCase) -> list[object]:
    options = ["--workers", "2", "--max-bad", "100%", "--profile", "insightface"]
    return ["pack", *options, case.listed, case.root, case.out]


def check_end(case: FaceCase) -> None:
    """The same words end with the files of an undisturbed run."""
    code, _, err = im2rec(*words_of(case))
    assert (3, "") == (code, err)
    assert case.undisturbed()[0] == files_in(case.out)


@PROC
@pytest.mark.parametrize("keys", [[], ["resize=6"]])
def test_a_kill_9_among_the_images_leaves_no_final_names_and_the_same_words_go_on(
    case: FaceCase, keys: list[str]
) -> None:
    held = case.root / f"{HELD}.jpg"
    content = held.read_bytes()
    held.unlink()
    fork_server = "from im2rec.workers import start_fork_server; start_fork_server()"
    before = f"{READ_PIPES}; {fork_server}; {SMALL_CHUNKS}"
    with held_pipe(held) as pipe:
        process = started(*words_of(case), *keys, before=before)
        try:
            pipe.wait_for_reader()
            wait_for_state(case.out / "train.rec")
            process.send_signal(signal.SIGKILL)
            process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            pipe.release()
            process.communicate()
    assert LEFT == [name for name in names_in(case.out) if ".bad." not in name]

    held.unlink()
    held.write_bytes(content)
    code, out, err = im2rec(*words_of(case), *keys)
    assert (3, "") == (code, err)
    assert "  went on     after " in out
    case.params = PackParams(resize=6) if keys else case.params
    assert case.undisturbed()[0] == files_in(case.out)


@POSIX
@pytest.mark.parametrize("at", range(8))
def test_a_kill_9_at_the_end_leaves_what_the_same_words_end(case: FaceCase, at: int) -> None:
    process = started(*words_of(case), before=f"exec({KILLED.format(at=at)!r}); {SAVE_AT_ONCE}")
    ended(process)
    over = process.returncode != -signal.SIGKILL
    assert over == (at > 5)
    if not over:
        check_end(case)
    else:
        assert [*FILES, "train.rec.bad.jsonl"] == names_in(case.out)
