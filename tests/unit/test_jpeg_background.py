"""The process that compiles beside a training program: one a program, never in its way, and never an error."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from compile_helpers import STAND_IN, pid_of, python, stand_in, wait_for_its_end
from image_helpers import POSIX, until
from iterator_helpers import iterator

from im2rec import workers
from im2rec.jpeg import background, loading
from im2rec.jpeg.background import BackgroundCompile
from im2rec.pipeline import backends

Made = Callable[[Path], BackgroundCompile]


@pytest.fixture
def made() -> Iterator[Made]:
    """Makes the process of a program, which runs a stand-in for the compiler; ended after the test."""
    works: list[BackgroundCompile] = []

    def make(folder: Path) -> BackgroundCompile:
        works.append(BackgroundCompile(stand_in(folder)))
        return works[-1]

    yield make
    for work in works:
        work.end()


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The words of each process that is started."""
    seen: list[list[str]] = []
    start = background._start

    def count(command: list[str]) -> Any:
        seen.append(command)
        return start(command)

    monkeypatch.setattr(background, "_start", count)
    return seen


def test_nothing_is_finished_before_it_begins(made: Made, tmp_path: Path) -> None:
    assert not made(tmp_path).finished()


def test_many_threads_start_one_process(made: Made, tmp_path: Path, starts: list[list[str]]) -> None:
    work = made(tmp_path)
    threads = [threading.Thread(target=work.begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pid_of(tmp_path)

    assert [stand_in(tmp_path)] == starts
    assert not work.finished()


def test_it_is_finished_when_the_process_has_ended_and_stays_so(made: Made, tmp_path: Path) -> None:
    work = made(tmp_path)
    work.begin()
    os.kill(pid_of(tmp_path), 9 if os.name == "posix" else 15)
    until(work.finished, "the process to be found ended")
    work.begin()

    assert work.finished()
    assert work._child is None


def test_end_ends_it_and_another_is_not_started(made: Made, tmp_path: Path, starts: list[list[str]]) -> None:
    work = made(tmp_path)
    work.begin()
    pid_of(tmp_path)
    for _ in range(2):
        work.end()
    wait_for_its_end(tmp_path)
    work.begin()

    assert work.finished()
    assert 1 == len(starts)


def test_a_process_that_cannot_be_started_is_one_that_has_ended(tmp_path: Path) -> None:
    work = BackgroundCompile([str(tmp_path / "missing")])
    work.begin()

    assert work.finished()


@pytest.mark.parametrize("executable", ["", None, "/usr/bin/uwsgi"])
def test_a_program_that_is_no_python_is_not_started_again(
    executable: str | None, starts: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    work = BackgroundCompile()
    work.begin()

    assert work.finished()
    assert [] == starts


def test_nothing_is_started_where_there_can_be_no_kernel(
    starts: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    BackgroundCompile().begin()
    monkeypatch.delattr(sys, "frozen")
    monkeypatch.setenv("IM2REC_KERNEL", "0")
    BackgroundCompile().begin()
    monkeypatch.delenv("IM2REC_KERNEL")
    monkeypatch.setitem(sys.modules, "numba", None)
    BackgroundCompile().begin()

    assert [] == starts


def test_what_is_started_is_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    seen: list[Any] = []

    class Refusing:
        def __init__(self, words: list[str], **options: Any) -> None:
            seen.append((words, options))
            raise OSError("no room for a process")

    monkeypatch.setattr(background, "_of_this_program", BackgroundCompile())
    monkeypatch.setattr(background.subprocess, "Popen", Refusing)
    background.begin()
    ((words, options),) = seen

    assert [sys.executable, "-c", f"{workers._PATH}; {background._CODE}", workers._ROOT] == words
    assert "start_new_session" not in options  # its low priority would count for nothing in one
    assert "cwd" not in options
    assert {**os.environ, background._ATTENDED: "1"} == options["env"]
    assert background.finished()


def test_the_command_is_found_and_knows_that_it_is_in_the_background(tmp_path: Path) -> None:
    code = workers._PATH + (
        "; import os; from pathlib import Path; from im2rec.jpeg import background; before = dict(os.environ);"
        "background.attend(); Path(sys.argv[2]).write_text(' '.join(sorted(set(before) - set(os.environ))))"
    )
    (tmp_path / "im2rec.py").write_text("raise SystemExit('of the current directory')")
    program = """
import sys
from im2rec.jpeg.background import BackgroundCompile
work = BackgroundCompile([sys.executable, "-c", *sys.argv[1:]])
work.begin()
while not work.finished():
    pass
"""
    # The program knows the place of im2rec by its own search path alone.
    root = str(Path(background.__file__).parents[2])
    line = [sys.executable, "-W", "error", "-c", f"import sys; sys.path[0] = {root!r}\n{program}"]
    where = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [*line, code, root, str(tmp_path / "told")]
    done = subprocess.run(words, env=where, cwd=tmp_path, capture_output=True, timeout=60)

    assert (0, b"") == (done.returncode, done.stderr)
    assert "IM2REC_COMPILES_IN_BACKGROUND" == (tmp_path / "told").read_text()


BEGIN = """
import os, sys
from pathlib import Path
from im2rec.jpeg.background import BackgroundCompile
folder = Path(sys.argv[2])
work = BackgroundCompile([sys.executable, "-c", sys.argv[1], str(folder)])
work.begin()
while not (folder / "pid").exists():
    pass
"""


def test_a_program_that_ends_does_not_wait_for_it_and_leaves_nothing(tmp_path: Path) -> None:
    done = python(BEGIN, STAND_IN, tmp_path)

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    if os.name == "posix":
        with pytest.raises(ProcessLookupError):
            os.kill(pid_of(tmp_path), 0)
    wait_for_its_end(tmp_path)


FORK = """
pid = os.fork()
if not pid:
    assert not work.finished()
    assert work._child is None
    work.end()
    sys.exit(7)  # as a program ends, not by os._exit()
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
assert not work.finished()
os.kill(int((folder / "pid").read_text()), 0)
"""


@POSIX
def test_a_forked_child_does_not_own_the_process(tmp_path: Path) -> None:
    done = python(BEGIN + FORK, STAND_IN, tmp_path)

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    wait_for_its_end(tmp_path)


@POSIX
def test_it_sees_another_parent_where_the_pipe_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background.select, "select", lambda *_: ([], [], []))

    assert not background._is_gone(os.getppid())
    assert background._is_gone(os.getppid() + 1)


def test_attending_does_nothing_in_any_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background.threading, "Thread", lambda **_: pytest.fail("watches"))

    background.attend()


# When it is worth it.


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images were delivered, each time the process was asked to begin."""
    found: list[int] = []
    monkeypatch.setattr(background, "_images", 0)
    monkeypatch.setattr(background, "begin", lambda: found.append(background._images))
    return found


def there_is(kernel: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        loading, "load", lambda *, may_compile: loading.LoadResult(kernel, "") if not may_compile else None
    )


def test_it_begins_once_after_some_thousand_images(monkeypatch: pytest.MonkeyPatch, begun: list[int]) -> None:
    there_is(None, monkeypatch)
    for _ in range(100):
        background.delivered(100)

    assert [4000] == begun


def test_a_process_that_has_ended_is_not_kept_as_a_zombie(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there_is(None, monkeypatch)
    work = made(tmp_path)
    monkeypatch.setattr(background, "_of_this_program", work)
    monkeypatch.setattr(background, "_images", 0)
    background.delivered(4000)
    os.kill(pid_of(tmp_path), 9 if os.name == "posix" else 15)

    def is_let_go() -> bool:
        background.delivered(1)
        return work._child is None

    until(is_let_go, "the process to be waited for")


def test_it_does_not_begin_where_the_decoder_is_there(monkeypatch: pytest.MonkeyPatch, begun: list[int]) -> None:
    there_is(object(), monkeypatch)
    for _ in range(100):
        background.delivered(100)

    assert [] == begun


@pytest.mark.parametrize(("given", "times"), [({}, 1), ({"data_shape": (1, 6, 8)}, 0), ({"pad": 2}, 0)])
def test_iterators_count_what_they_deliver_where_it_could_help(
    rec: Path, given: dict[str, Any], times: int, monkeypatch: pytest.MonkeyPatch, begun: list[int]
) -> None:
    there_is(None, monkeypatch)
    monkeypatch.setattr(background, "_WORTH_IT", 20)
    with iterator(rec, **given) as it:
        for _ in range(4):
            list(it)

    assert times == len(begun)


@pytest.mark.parametrize("code", [background._CODE, backends._CODE])
def test_what_lies_in_the_current_directory_is_not_imported(tmp_path: Path, code: str) -> None:
    for name in ("click", "numpy", "im2rec"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the current directory')")
    words = workers.python_command(code)
    where = {**os.environ, "IM2REC_KERNEL": "0"}
    done = subprocess.run(words, cwd=tmp_path, env=where, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    assert "current directory" not in done.stderr
    assert done.returncode == (1 if code == background._CODE else 0)
