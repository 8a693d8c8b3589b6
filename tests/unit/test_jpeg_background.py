"""The background process that compiles: at most one for each program, at a low priority, and never an error."""

from __future__ import annotations

import os
import signal
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

ProcessFactory = Callable[[Path], BackgroundCompile]


@pytest.fixture
def new_process() -> Iterator[ProcessFactory]:
    """A function that returns a process for a stand-in of the compiler; all are killed after the test."""
    processes: list[BackgroundCompile] = []

    def make(folder: Path) -> BackgroundCompile:
        processes.append(BackgroundCompile(stand_in(folder)))
        return processes[-1]

    yield make
    for work in processes:
        work.end()


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command line of each process that is started."""
    seen: list[list[str]] = []
    start = background._start

    def count(command: list[str]) -> Any:
        seen.append(command)
        return start(command)

    monkeypatch.setattr(background, "_start", count)
    return seen


def test_a_process_has_not_finished_before_it_has_begun(new_process: ProcessFactory, tmp_path: Path) -> None:
    assert not new_process(tmp_path).has_finished()


def test_many_threads_start_one_process(new_process: ProcessFactory, tmp_path: Path, commands: list[list[str]]) -> None:
    work = new_process(tmp_path)
    threads = [threading.Thread(target=work.begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pid_of(tmp_path)

    assert [stand_in(tmp_path)] == commands
    assert not work.has_finished()


def test_a_killed_process_has_finished_and_is_not_started_again(new_process: ProcessFactory, tmp_path: Path) -> None:
    work = new_process(tmp_path)
    work.begin()
    os.kill(pid_of(tmp_path), 9 if os.name == "posix" else 15)
    until(work.has_finished, "the process to end")
    work.begin()

    assert work.has_finished()
    assert work._child is None


def test_ending_kills_the_process_and_no_other_is_started(
    new_process: ProcessFactory, tmp_path: Path, commands: list[list[str]]
) -> None:
    work = new_process(tmp_path)
    work.begin()
    pid_of(tmp_path)
    for _ in range(2):
        work.end()
    wait_for_its_end(tmp_path)
    work.begin()

    assert work._child is None
    assert work.has_finished()
    assert 1 == len(commands)


def test_a_process_that_cannot_be_started_counts_as_finished(tmp_path: Path) -> None:
    work = BackgroundCompile([str(tmp_path / "missing")])
    work.begin()

    assert work.has_finished()


@pytest.mark.parametrize("executable", ["", None, "/usr/bin/uwsgi"])
def test_an_executable_that_is_not_python_is_not_started(
    executable: str | None, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    work = BackgroundCompile()
    work.begin()

    assert work.has_finished()
    assert [] == commands


def test_no_process_is_started_if_the_decoder_is_off_or_numba_or_python_is_missing(
    commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    BackgroundCompile().begin()
    monkeypatch.delattr(sys, "frozen")
    monkeypatch.setenv("IM2REC_KERNEL", "0")
    BackgroundCompile().begin()
    monkeypatch.delenv("IM2REC_KERNEL")
    monkeypatch.setitem(sys.modules, "numba", None)
    BackgroundCompile().begin()

    assert [] == commands


def test_the_process_runs_im2rec_compile_in_the_session_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert "start_new_session" not in options  # in a session of its own, its low priority would have no effect
    assert "cwd" not in options
    assert {**os.environ, background._VARIABLE: "1"} == options["env"]
    assert background.has_finished()


def test_the_process_finds_im2rec_by_the_search_path_of_the_program(tmp_path: Path) -> None:
    code = workers._PATH + (
        "; import os; from pathlib import Path; from im2rec.jpeg import background; before = dict(os.environ);"
        "background.become_background(); Path(sys.argv[2]).write_text(' '.join(sorted(set(before) - set(os.environ))))"
    )
    (tmp_path / "im2rec.py").write_text("raise SystemExit('of the current directory')")
    program = """
import sys
from im2rec.jpeg.background import BackgroundCompile
work = BackgroundCompile([sys.executable, "-c", *sys.argv[1:]])
work.begin()
while not work.has_finished():
    pass
"""
    # The program finds im2rec by its own search path only.
    root = str(Path(background.__file__).parents[2])
    line = [sys.executable, "-W", "error", "-c", f"import sys; sys.path[0] = {root!r}\n{program}"]
    where = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [*line, code, root, str(tmp_path / "removed")]
    done = subprocess.run(words, env=where, cwd=tmp_path, capture_output=True, timeout=60)

    assert (0, b"") == (done.returncode, done.stderr)
    assert "IM2REC_COMPILES_IN_BACKGROUND" == (tmp_path / "removed").read_text()


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


def test_a_program_that_ends_kills_the_process_and_does_not_wait(tmp_path: Path) -> None:
    done = python(BEGIN, STAND_IN, tmp_path)

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    if os.name == "posix":
        with pytest.raises(ProcessLookupError):
            os.kill(pid_of(tmp_path), 0)
    wait_for_its_end(tmp_path)


FORK = """
pid = os.fork()
if not pid:
    assert not work.has_finished()
    assert work._child is None
    work.end()
    sys.exit(7)  # as a program ends, not by os._exit()
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
assert not work.has_finished()
os.kill(int((folder / "pid").read_text()), 0)
"""


@POSIX
def test_a_forked_child_does_not_own_the_process(tmp_path: Path) -> None:
    done = python(BEGIN + FORK, STAND_IN, tmp_path)

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    wait_for_its_end(tmp_path)


@POSIX
def test_a_new_parent_ends_the_process_though_the_pipe_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background.select, "select", lambda *_: ([], [], []))

    assert not background._wait_for_end_of(os.getppid())
    assert background._wait_for_end_of(os.getppid() + 1)


def test_on_windows_the_process_ends_at_the_end_of_the_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[tuple[int, int]] = []
    monkeypatch.setattr(background, "_PARENT_CHANGES", False)
    monkeypatch.setattr(background.os, "read", lambda *given: reads.append(given))

    assert background._wait_for_end_of(os.getppid())
    assert [(0, 1)] == reads


def test_on_windows_a_broken_pipe_is_an_end_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: int) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(background, "_PARENT_CHANGES", False)
    monkeypatch.setattr(background.os, "read", fail)

    assert background._wait_for_end_of(os.getppid())


def test_the_end_of_the_pipe_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background.select, "select", lambda reads, *_: (reads, [], []))

    assert background._wait_for_end_of(os.getppid())


def test_the_process_exits_at_once_when_its_parent_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([False, False, True])
    parents: list[int] = []

    class ExitedError(Exception):
        pass

    def exit_at_once(code: int) -> None:
        raise ExitedError(code)

    def wait(parent: int) -> bool:
        parents.append(parent)
        return next(answers)

    monkeypatch.setattr(background, "_wait_for_end_of", wait)
    monkeypatch.setattr(background.os, "_exit", exit_at_once)
    with pytest.raises(ExitedError, match=r"^1$"):
        background._exit_with_parent(123)
    assert [123] * 3 == parents


@POSIX
def test_a_background_process_ignores_ctrl_c_lowers_its_priority_and_watches_its_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[object] = []

    class Watch:
        def __init__(self, **given: Any) -> None:
            calls.append((given["target"], given["args"], given["daemon"]))

        def start(self) -> None:
            calls.append("started")

    monkeypatch.setenv(background._VARIABLE, "1")
    monkeypatch.setattr(background.signal, "signal", lambda *given: calls.append(given))
    monkeypatch.setattr(background.os, "nice", calls.append)
    monkeypatch.setattr(background.threading, "Thread", Watch)
    background.become_background()

    watch = (background._exit_with_parent, (os.getppid(),), True)
    assert [(signal.SIGINT, signal.SIG_IGN), 5, watch, "started"] == calls
    assert background._VARIABLE not in os.environ  # or its own children would be background processes


def test_other_processes_do_not_watch_their_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background.threading, "Thread", lambda **_: pytest.fail("watches"))

    background.become_background()


# The number of images after which it begins.


@pytest.fixture
def counts_at_begin(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of images delivered at each call of begin()."""
    counts: list[int] = []
    monkeypatch.setattr(background, "_image_count", 0)
    monkeypatch.setattr(background, "begin", lambda: counts.append(background._image_count))
    return counts


def there_is(kernel: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        loading, "load", lambda *, may_compile: loading.LoadResult(kernel, "") if not may_compile else None
    )


def test_the_process_begins_once_after_4000_images(monkeypatch: pytest.MonkeyPatch, counts_at_begin: list[int]) -> None:
    there_is(None, monkeypatch)
    background.count_delivered(3999)
    assert [] == counts_at_begin

    for _ in range(100):
        background.count_delivered(1)
    assert [4000] == counts_at_begin


def test_a_process_that_has_ended_is_not_kept_as_a_zombie(
    new_process: ProcessFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there_is(None, monkeypatch)
    work = new_process(tmp_path)
    monkeypatch.setattr(background, "_of_this_program", work)
    monkeypatch.setattr(background, "_image_count", 0)
    background.count_delivered(4000)
    os.kill(pid_of(tmp_path), 9 if os.name == "posix" else 15)

    def is_let_go() -> bool:
        background.count_delivered(1)
        return work._child is None

    until(is_let_go, "the process to be waited for")


def test_the_process_does_not_begin_if_the_decoder_is_compiled_already(
    monkeypatch: pytest.MonkeyPatch, counts_at_begin: list[int]
) -> None:
    there_is(object(), monkeypatch)
    for _ in range(100):
        background.count_delivered(100)

    assert [] == counts_at_begin


@pytest.mark.parametrize(("given", "times"), [({}, 1), ({"data_shape": (1, 6, 8)}, 0), ({"pad": 2}, 0)])
def test_iterators_count_the_images_that_the_decoder_could_decode(
    rec: Path, given: dict[str, Any], times: int, monkeypatch: pytest.MonkeyPatch, counts_at_begin: list[int]
) -> None:
    there_is(None, monkeypatch)
    monkeypatch.setattr(background, "_MIN_IMAGES", 20)
    with iterator(rec, **given) as it:
        for _ in range(4):
            list(it)

    assert times == len(counts_at_begin)


@pytest.mark.parametrize("code", [background._CODE, backends._SERVE])
def test_modules_in_the_current_directory_are_not_imported(tmp_path: Path, code: str) -> None:
    for name in ("click", "numpy", "im2rec"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the current directory')")
    words = workers.python_command(code)
    where = {**os.environ, "IM2REC_KERNEL": "0"}
    done = subprocess.run(words, cwd=tmp_path, env=where, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    assert "current directory" not in done.stderr
    assert done.returncode == (1 if code == background._CODE else 0)
