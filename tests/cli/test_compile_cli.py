"""``im2rec compile`` as it is typed: its output, and its errors if there can be no kernel."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from compile_helpers import only_there
from image_helpers import im2rec, names_in

from im2rec.jpeg import cache, loading
from im2rec.jpeg.loading import Compilation


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, bool]]:
    """The options of each call of the library, which compiles nothing."""
    calls: list[dict[str, bool]] = []

    def compile_ahead(*, force: bool, dry_run: bool, tell: object) -> Compilation:
        assert callable(tell)
        tell("compiling it")
        calls.append({"force": force, "dry_run": dry_run})
        return Compilation("numba 1.2.3", len(calls) % 2 == 1, Path("cache"))

    monkeypatch.setattr(loading, "compile_ahead", compile_ahead)
    monkeypatch.setattr("im2rec.cli.compile.time.perf_counter", iter(range(0, 1000, 7)).__next__)
    return calls


NOW = """\
compiled the JPEG decoder
  kernel  numba 1.2.3, compiled in 7.0 s
  kept    in cache
next: im2rec bench
"""
BEFORE = """\
the JPEG decoder is compiled already
  kernel  numba 1.2.3, loaded in 7.0 s
  kept    in cache
next: im2rec bench
"""
DRY_NOW = """\
would compile the JPEG decoder
  kernel      numba 1.2.3
  would keep  in cache
next: im2rec compile
"""
DRY_BEFORE = """\
the JPEG decoder is compiled already
  kernel  numba 1.2.3
  kept    in cache
next: im2rec compile
"""


def test_compile_prints_its_result_the_folder_and_the_next_command(done: list[dict[str, bool]]) -> None:
    assert (0, NOW, "compiling it\n") == im2rec("compile")
    assert (0, BEFORE.replace("next: im2rec bench\n", ""), "") == im2rec("compile", "-q", "--force")
    assert [{"force": False, "dry_run": False}, {"force": True, "dry_run": False}] == done
    assert 0 == im2rec(*NOW.split()[-1:]).code


def test_a_dry_run_prints_what_would_be_done(done: list[dict[str, bool]]) -> None:
    assert [DRY_NOW, DRY_BEFORE] == [im2rec("compile", "--dry-run").out for _ in range(2)]
    assert [{"force": False, "dry_run": True}] * 2 == done


@pytest.mark.usefixtures("done")
def test_json_holds_the_same_facts() -> None:
    expected = {"schema": 2, "command": "compile", "kernel": "numba 1.2.3", "compiled": True, "seconds": 7}
    assert {**expected, "cache": "cache", "dry_run": False} == json.loads(im2rec("compile", "--json").out)


def test_compiled_code_is_found_and_a_dry_run_writes_nothing(
    compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "folders", lambda: [compiled])
    before = names_in(compiled)
    for options in ([], ["--dry-run"]):
        found = json.loads(im2rec("compile", "--json", *options).out)
        assert (False, str(compiled)) == (found["compiled"], found["cache"])
        assert found["kernel"].startswith("numba 0.")
    assert before == names_in(compiled)

    monkeypatch.setattr(cache, "folders", lambda: [tmp_path / "empty"])
    found = json.loads(im2rec("compile", "--json", "--dry-run").out)
    assert (True, str(tmp_path / "empty")) == (found["compiled"], found["cache"])
    assert not (tmp_path / "empty").exists()


REFUSED = {
    "IM2REC_KERNEL": ("0", "IM2REC_KERNEL=0 turns it off (unset IM2REC_KERNEL)"),
    "NUMBA_DISABLE_JIT": ("1", "NUMBA_DISABLE_JIT is set (unset NUMBA_DISABLE_JIT)"),
}


@pytest.mark.parametrize("variable", REFUSED)
@pytest.mark.parametrize("options", [[], ["--dry-run"], ["--force"]])
def test_settings_that_prevent_compiling_are_named(
    variable: str, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    value, reason = REFUSED[variable]
    monkeypatch.setenv(variable, value)

    assert (1, "", f"im2rec: the decoder cannot be compiled: {reason}\n") == im2rec("compile", *options)


def test_without_numba_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    reason = "numba is not installed (pip install 'im2rec[fast]')"

    assert (1, "", f"im2rec: the decoder cannot be compiled: {reason}\n") == im2rec("compile")


def test_if_no_folder_can_be_written_the_error_comes_before_compiling(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    (tmp_path / "file").touch()
    for options in ([], ["--dry-run"]):
        line = only_there(tmp_path / "file", "compile", *options)
        done = subprocess.run(line, capture_output=True, text=True, timeout=60)
        assert (1, "") == (done.returncode, done.stdout)
        assert done.stderr.startswith(f"im2rec: the decoder cannot be compiled: {tmp_path / 'file'}: compiled code")
        assert done.stderr.endswith(
            "(set NUMBA_CACHE_DIR to a folder with some megabytes of room that you may write to)\n"
        )
        assert 1 == done.stderr.count("\n")


def test_a_failed_compilation_is_one_line_and_debug_adds_the_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")

    def fail(*_: object, **__: object) -> None:
        raise ValueError("a reason\nand more")

    monkeypatch.setattr(cache, "folders", lambda: [tmp_path])
    monkeypatch.setattr(loading, "_build_kernel", fail)
    code, out, err = im2rec("compile", "-q")

    assert (1, "", 1) == (code, out, err.count("\n"))
    assert " does not compile it: a reason (report it, with the output of im2rec compile --debug; " in err
    assert "ValueError: a reason" in im2rec("compile", "--debug").err
