"""The behaviour that all commands share: help, exit codes, one line per error, pipes, --json, names of any kind."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from helpers import GOLDEN, image_payload, index_text, write_rec
from image_helpers import (
    CONSOLE_SCRIPT,
    POSIX,
    Ran,
    a_list_of_images,
    command,
    encoded,
    im2rec,
    names_in,
    texture,
    write_images,
)
from PIL import Image

from im2rec.cli.group import COMMANDS, group

PASS_THROUGH = GOLDEN / "pass_through.rec"


# Help.


def test_every_command_has_help_of_80_columns() -> None:
    for name in COMMANDS:
        code, out, err = im2rec(name, "--help")
        assert (0, "") == (code, err)
        assert out.startswith(f"Usage: im2rec {name} ")
        assert all(len(line) <= 80 for line in out.splitlines()), name
        assert (0, out, "") == im2rec(name, "-h")


def test_every_option_of_every_command_is_explained() -> None:
    for name in COMMANDS:
        subcommand = group.get_command(click.Context(group), name)
        assert subcommand is not None
        for parameter in subcommand.params:
            if isinstance(parameter, click.Option):
                assert (parameter.help or "").endswith((".", "]")), (name, parameter.name)


def test_the_table_of_commands_holds_the_first_line_of_the_help_of_each() -> None:
    for name, (_, line) in COMMANDS.items():
        subcommand = group.get_command(click.Context(group), name)
        assert subcommand is not None
        assert line.rstrip(".") == subcommand.get_short_help_str(200).rstrip(".")


def test_bare_im2rec_shows_the_commands_and_exits_0() -> None:
    code, out, err = im2rec()

    assert (0, "") == (code, err)
    for name, (_, line) in COMMANDS.items():
        assert f"  {name}" in out
        assert line in out
    assert (0, out, "") == im2rec("--help")


@pytest.mark.parametrize(
    "words", [*([name] for name in COMMANDS if name not in ("compile", "cache")), ["import", "mnist"]]
)
def test_a_bare_command_shows_its_help_and_exits_0(words: list[str]) -> None:
    assert im2rec(words[0], "--help") == im2rec(*words)


def test_bare_pack_shows_its_keys_with_defaults_and_an_example_and_exits_0() -> None:
    code, out, err = im2rec("pack")

    assert (0, "") == (code, err)
    for line in (
        "  resize=-1 ",
        "  quality=95 ",
        "  encoding=.jpg ",
        "  color=1 ",
        "  label_width= ",
        "  png_level=3 ",
    ):
        assert line in out
    assert "Example:\n  im2rec pack photos_train.lst photos/ photos_train.rec resize=256\n" in out


def test_the_version_is_that_of_the_imported_code_and_not_of_installed_metadata() -> None:
    code = "import im2rec; im2rec.__version__ = '9.8.7'; from im2rec.cli import main; main(['--version'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)

    assert (0, "im2rec 9.8.7\n", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_and_version_import_no_large_library(words: list[str]) -> None:
    code = f"""if True:
        import sys
        from im2rec.cli import main
        try:
            main({words!r})
        finally:
            heavy = {{"numpy", "PIL", "cv2", "simplejpeg", "tqdm", "multiprocessing"}} & set(sys.modules)
            print("heavy:", sorted(heavy), file=sys.stderr)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)

    assert (0, "heavy: []\n") == (done.returncode, done.stderr)


@pytest.mark.parametrize("module", ["im2rec.storage.reader", "im2rec.extraction.extract"])
def test_reading_and_extracting_records_import_no_image_library(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'PIL', 'cv2', 'simplejpeg'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)

    assert (0, "[]\n") == (done.returncode, done.stdout)


# Ways to start it.


def test_python_m_im2rec_is_the_same_program() -> None:
    assert im2rec() == command()
    assert im2rec("inspect", "no.rec") == command("inspect", "no.rec")


@pytest.mark.skipif(not CONSOLE_SCRIPT.exists(), reason="not installed with its script")
def test_the_installed_script_is_the_same_program() -> None:
    done = subprocess.run([CONSOLE_SCRIPT, "inspect", PASS_THROUGH], capture_output=True, check=False)

    assert im2rec("inspect", PASS_THROUGH) == Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


def test_completion_prints_code_for_each_shell() -> None:
    for shell in ("bash", "zsh", "fish"):
        code, out, err = im2rec("completion", shell)
        assert (0, "") == (code, err)
        assert "_IM2REC_COMPLETE" in out
        assert f"{shell}_complete" in out


@pytest.mark.skipif(not POSIX or shutil.which("bash") is None, reason="needs bash")
def test_bash_puts_no_blank_between_a_key_and_its_value(tmp_path: Path) -> None:
    script = tmp_path / "im2rec"  # which the code of the completion calls
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m im2rec "$@"\n')
    script.chmod(0o755)
    lines = f"""
        complete() {{ :; }}
        compopt() {{ echo "$@"; }}
        {im2rec("completion", "bash").out}
        for begun in rand_cr --epo; do
            COMP_WORDS=(im2rec iterate a.rec $begun) COMP_CWORD=3 COMPREPLY=()
            _im2rec_completion "{script}"
            echo "${{COMPREPLY[@]}}"
        done
    """
    where = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(["bash", "-c", lines], capture_output=True, text=True, check=False, env=where, cwd=tmp_path)

    assert ("-o nospace\nrand_crop=\n--epochs\n", "") == (done.stdout, done.stderr)


def test_the_installed_script_completes_commands(tmp_path: Path) -> None:
    where = {**os.environ, "_IM2REC_COMPLETE": "bash_complete", "COMP_WORDS": "im2rec ins", "COMP_CWORD": "1"}
    if not CONSOLE_SCRIPT.exists():
        pytest.skip("not installed with its script")
    done = subprocess.run([CONSOLE_SCRIPT], capture_output=True, check=False, env=where, cwd=tmp_path)

    assert (0, b"plain,inspect\n") == (done.returncode, done.stdout)


# Wrong usage: exit 2.

FOLDER = str(Path(__file__).parent)
USAGE: dict[str, tuple[list[str], str]] = {
    "a command that does not exist": (["inspct"], "no command 'inspct'; did you mean 'inspect'? (see 'im2rec --help')"),
    "a command that is like no other": (["xyzzy"], f"no command 'xyzzy'; commands: {', '.join(COMMANDS)}"),
    "a list of another name": (
        ["my train.TXT", "root", "o.rec", "resize=8"],
        "no command 'my train.TXT'; for a list: im2rec pack 'my train.TXT' root o.rec resize=8 (see 'im2rec --help')",
    ),
    "a .rec": (["a.rec", "b"], "no command 'a.rec'; for a .rec: im2rec inspect a.rec (see 'im2rec --help')"),
    "a folder": ([FOLDER, "b"], f"no command {FOLDER!r}; for a folder of images: im2rec make-list {FOLDER} (see"),
    "a file of any name": ([__file__], f"no command {__file__!r}; for a list: im2rec pack {__file__} (see"),
    "an option that does not exist": (["inspect", "a.rec", "--hed", "3"], "no such option"),
    "an option that is not a number": (["inspect", "a.rec", "--head", "three"], "invalid value for '--head'"),
    "an option out of range": (["inspect", "a.rec", "--head", "0"], "invalid value for '--head'"),
    "an argument that is missing": (["inspect", "--verify"], "missing argument 'REC' (see 'im2rec inspect --help')"),
    "one argument too many": (["inspect", "a.rec", "b.rec"], "got unexpected extra argument (b.rec)"),
    "a root that is missing": (["make-list", "--flat"], "missing argument 'ROOT' (see 'im2rec make-list --help')"),
    "an output that is missing": (["pack", "a.lst", "root"], "missing argument 'OUT' (see 'im2rec pack --help')"),
    "an output that is a key": (
        ["pack", "a.lst", "root", "resize=256"],
        "OUT is missing before resize=256 (see 'im2rec pack --help')",
    ),
    "no workers": (["pack", "a.lst", "r", "o.rec", "--workers", "0"], "--workers=0 must be 1 or more"),
    "a share above 1": (["make-list", "r", "--split", "1.5"], "--split 1.5 must hold shares from 0 to 1"),
    "shares that are not numbers": (["make-list", "r", "--split", "much"], "invalid value for '--split'"),
}


@pytest.mark.parametrize("case", USAGE)
def test_wrong_usage_is_exit_code_2_and_one_line(case: str) -> None:
    words, expected = USAGE[case]
    code, out, err = im2rec(*words)

    assert (2, "") == (code, out)
    assert expected.lower() in err.lower()
    assert err.startswith("im2rec: ")
    assert 1 == err.count("\n")


# Errors.


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Record files that make `inspect` end with each of its exit codes."""
    image = encoded(texture())
    payloads = [image_payload(n, n, image) for n in range(3)]
    write_rec(tmp_path / "whole.rec", payloads)
    write_rec(tmp_path / "wrong.rec", payloads)
    (tmp_path / "wrong.idx").write_bytes(index_text([0, 4, 8]))
    write_rec(tmp_path / "odd.rec", [*payloads, image_payload(3, 3, b"text")])
    write_rec(tmp_path / "none.rec", [image_payload(0, 0, b"")])
    data = (tmp_path / "whole.rec").read_bytes()
    (tmp_path / "cut.rec").write_bytes(data[:-4])
    (tmp_path / "empty.rec").touch()
    (tmp_path / "text.rec").write_text("hello, world")
    return tmp_path


# name of a file of the fixture (gone: not there) -> exit code
STATES = {"whole": 0, "wrong": 3, "odd": 3, "none": 4, "empty": 4, "text": 4, "gone": 4, "cut": 5}


def test_the_exit_code_of_inspect_is_0_3_4_or_5_by_the_state_of_the_file(files: Path) -> None:
    assert STATES == {name: im2rec("inspect", files / f"{name}.rec").code for name in STATES}


def test_damage_takes_precedence_over_problems(files: Path) -> None:
    data = (files / "odd.rec").read_bytes()
    (files / "odd.rec").write_bytes(data + b"\xff" * 8)

    assert 5 == im2rec("inspect", files / "odd.rec").code


def test_an_error_is_one_line_on_stderr_and_debug_adds_the_traceback(files: Path) -> None:
    code, out, err = im2rec("inspect", files / "text.rec")
    line = f"im2rec: {files / 'text.rec'}: is not a RecordIO file: it is a file of text (make or fetch it again)\n"
    assert (4, "", line) == (code, out, err)

    code, out, err = im2rec("inspect", files / "text.rec", "--debug")
    assert (4, "") == (code, out)
    assert err.startswith("Traceback (most recent call last):\n")
    assert err.endswith(line)


# Pipes.


def closed_pipe(*words: object) -> Ran:
    """Run ``im2rec`` with a stdout whose reader has closed the pipe already."""
    read, write = os.pipe()
    os.close(read)
    try:
        line = [sys.executable, "-m", "im2rec", *map(str, words)]
        done = subprocess.run(line, stdout=write, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(write)
    return Ran(done.returncode, "", done.stderr.decode())


@POSIX
def test_a_closed_pipe_ends_a_command_quietly_with_exit_code_0() -> None:
    for words in (["inspect", PASS_THROUGH], ["--help"]):
        assert Ran(0, "", "") == closed_pipe(*words)


@POSIX
def test_a_pipe_that_is_closed_in_the_middle_of_the_output_ends_it_quietly_too(tmp_path: Path) -> None:
    write_rec(tmp_path / "a.rec", [image_payload(n, n) for n in range(3000)])
    line = [sys.executable, "-m", "im2rec", "inspect", "a.rec", "--head", "3000"]
    with subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert b"record 0 at byte 0, id 0, label 0\n" == process.stdout.readline()
        process.stdout.close()
        assert b"" == process.stderr.read()
        assert 0 == process.wait()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_stdout_is_exit_code_1_and_one_line_with_the_reason() -> None:
    with Path("/dev/full").open("wb") as full:
        line = [sys.executable, "-m", "im2rec", "inspect", PASS_THROUGH]
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, check=False, text=True)

    assert 1 == done.returncode
    assert 1 == done.stderr.count("\n")
    assert "no space left on device" in done.stderr.lower()
    assert "internal error" not in done.stderr


@POSIX
def test_a_closed_stdout_is_not_an_internal_error() -> None:
    line = shlex.join([sys.executable, "-m", "im2rec", "inspect", str(PASS_THROUGH)]) + " >&-"
    done = subprocess.run(line, shell=True, stderr=subprocess.PIPE, check=False, text=True)

    assert "internal error" not in done.stderr
    assert done.stderr.count("\n") <= 1


# Output.


def good_runs(folder: Path) -> list[list[object]]:
    """The words of a run that succeeds, for each of the three main commands; made with files in *folder*."""
    listed, root = a_list_of_images(folder)
    return [
        ["make-list", root, "--prefix", folder / "made"],
        ["pack", listed, root, folder / "o.rec", "--workers", "1"],
        ["inspect", PASS_THROUGH],
        ["inspect", PASS_THROUGH, "--head", "2"],
    ]


def test_json_is_one_line_with_an_object_that_has_a_schema(tmp_path: Path) -> None:
    for words in good_runs(tmp_path):
        code, out, err = im2rec(*words, "--json")
        result = json.loads(out)
        assert (0, "") == (code, err)
        assert (2, words[0]) == (result["schema"], result["command"])
        assert 1 == out.count("\n")


def test_json_of_nan_labels_is_valid_json() -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    for options in ([], ["--head", "20"]):
        _, out, _ = im2rec("inspect", GOLDEN / "labels.rec", "--json", *options)
        assert 2 == json.loads(out, parse_constant=refuse)["schema"]


def test_a_result_has_at_most_12_lines_of_80_columns_and_of_inspect_24(here: Path) -> None:
    write_images(here / "photos", [f"{name}/{n}.jpg" for name in ("a", "b") for n in range(3)])
    (here / "photos" / "a" / "bad.jpg").write_text("hello")
    runs = [
        im2rec("make-list", "photos", "--shuffle", "--split", "0.8,0.1,0.1", "--stratify"),
        im2rec("pack", "photos_train.lst", "photos", "o.rec", "resize=16", "--workers", "1"),
        im2rec("inspect", "o.rec"),
    ]
    for (_, out, _), max_lines in zip(runs, (12, 12, 24), strict=True):
        lines = out.splitlines()
        assert len(lines) <= max_lines
        assert all(len(line) <= 80 for line in lines)
        assert lines[-1].startswith("next: ")


def test_the_next_command_can_be_typed(here: Path) -> None:
    write_images(here / "my photos", ["a/1.jpg", "b b/2.jpg"])
    code, out, _ = im2rec("make-list", "my photos")
    for expected in ("pack", "inspect", "inspect"):
        assert 0 == code
        words = shlex.split(out.splitlines()[-1].removeprefix("next: "))
        assert ["im2rec", expected] == words[:2]
        code, out, _ = im2rec(*words[1:])
    assert out.startswith("record 0 at byte 0, id 0, label 0\n")


@pytest.mark.usefixtures("progress_at_once")
def test_progress_is_printed_on_stderr_and_not_with_quiet(tmp_path: Path) -> None:
    lines = ("finding: 3 images", "packing: 3 images (100%)", "surveying: 8 records (100%)")
    for words, what in zip(good_runs(tmp_path)[:3], lines, strict=True):
        _, out, err = im2rec(*words)
        assert what in err
        assert what not in out
        for quiet in ("--quiet", "-q"):
            ran = im2rec(*words, quiet, *(["--force"] if words[0] != "inspect" else []))
            assert (0, "") == (ran.code, ran.err)
            assert ran.out


def test_a_dry_run_writes_nothing_and_prints_what_it_would_write(tmp_path: Path) -> None:
    before = None
    for words in good_runs(tmp_path)[:2]:
        before = before or names_in(tmp_path)
        code, out, err = im2rec(*words, "--dry-run")
        assert (0, "") == (code, err)
        assert "would write" in out
        assert f"next: im2rec {shlex.join(map(str, words))}" == out.splitlines()[-1]
    assert ["l.lst", "root"] == before == names_in(tmp_path)


def test_existing_outputs_are_replaced_only_with_force(tmp_path: Path) -> None:
    for words in good_runs(tmp_path)[:2]:
        assert 0 == im2rec(*words).code
        before = {name: (tmp_path / name).read_bytes() for name in names_in(tmp_path) if name != "root"}
        code, out, err = im2rec(*words)
        assert (1, "") == (code, out)
        assert err.endswith("exists already (replace it with --force, or choose another name)\n")
        assert 0 == im2rec(*words, "--force").code
        assert before == {name: (tmp_path / name).read_bytes() for name in before}


# File names of any kind, from the folder of images to inspect.

NAMES = {
    "blanks": ("my photos", "a cat.jpg"),
    "letters": ("фото 日本", "brücke é.jpg"),
    "signs": ('it\'s $HOME & "more"', "#1 (copy);.jpg"),
    "a leading dash": ("photos", "-rf.jpg"),
    "digits": ("2024", "12.jpg"),
    "undecodable bytes": (os.fsdecode(b"caf\xe9"), os.fsdecode(b"\xff\xfe.jpg")),
}


@pytest.mark.parametrize("kind", NAMES)
def test_file_names_of_any_kind_are_listed_packed_and_inspected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    folder, name = NAMES[kind]
    try:
        write_images(tmp_path / folder, [f"sub {folder}/{name}", name])
    except (OSError, UnicodeError):
        pytest.skip("this file system cannot hold such a name")
    monkeypatch.chdir(tmp_path)
    runs = [
        ["make-list", folder],
        ["pack", f"{folder}.lst", folder, f"{folder}.rec", "--workers", "1"],
        ["inspect", f"{folder}.rec"],
    ]
    for words in runs:
        assert 0 == im2rec(*words).code
        options = ["--force"] if words[0] != "inspect" else []
        assert "schema" in json.loads(im2rec(*words, "--json", *options).out)
    assert {f"{folder}.lst", f"{folder}.classes.txt", f"{folder}.rec", f"{folder}.idx", folder} == set(
        names_in(tmp_path)
    )
    assert 2 == len((tmp_path / f"{folder}.idx").read_text().splitlines())


@pytest.mark.skipif(sys.platform != "linux", reason="undecodable names and the C locale are Linux's")
def test_names_are_escaped_on_an_ascii_terminal(tmp_path: Path) -> None:
    write_images(tmp_path / "日本", ["ü.jpg"])
    where = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ran = command("make-list", "日本", cwd=tmp_path, env=where)

    assert (0, "") == (ran.code, ran.err)
    assert ran.out.isascii()
    assert "1 image in 1 class" in ran.out


def test_warnings_of_image_libraries_are_not_printed(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path)
    exif = Image.Exif()
    exif[274] = 6
    content = bytearray(encoded(texture(), exif=exif))
    at = content.index(b"Exif\0\0")
    content[at + 14 : at + 16] = b"\0\xc8"
    (root / "1.jpg").write_bytes(content)

    for workers in ("1", "2"):
        ran = command("pack", listed, root, tmp_path / "o.rec", "--workers", workers, "--force")
        assert (0, "") == (ran.code, ran.err)


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("--resize", "write resize=VALUE after OUT"),
        ("--center-crop", "write center_crop=VALUE after OUT"),
        ("--pass-through", "write unchanged=1 after OUT"),
        ("--num-thread", "write --workers N"),
    ],
)
def test_options_of_mxnets_im2rec_py_are_answered_with_ours(word: str, advice: str) -> None:
    expected = f"im2rec: no such option {word} ({advice})\n"
    assert Ran(2, "", expected) == im2rec("pack", "a.lst", "root", "o.rec", word, "256")


# words -> what is wrong with them, and what to write
MIXED_UP = {
    "iterate a.rec --rand-crop 1": "no such option --rand-crop (write rand_crop=VALUE at the end)",
    "iterate a.rec --resize 256": "no such option --resize (write resize=VALUE at the end)",
    "bench a.rec --shuffle": "no such option --shuffle (write shuffle=VALUE at the end)",
    "import mnist out --encoding .jpg": "no such option --encoding (write encoding=VALUE at the end)",
    "pack a.lst root o.rec --max-side 9": "no such option --max-side (write max_side=VALUE at the end)",
    "pack a.lst root o.rec --recursive": (
        "no such option --recursive (with im2rec make-list, folders are walked unless --flat is given)"
    ),
    "make-list root --resize 256": "no such option --resize (with im2rec pack, write resize=VALUE after OUT)",
    "pack a.lst root o.rec workers=4": "unknown key 'workers' (it is an option: --workers)",
    "pack a.lst root o.rec on_error=skip": "unknown key 'on_error' (it is an option: --on-error)",
    "iterate a.rec epochs=3": "unknown key 'epochs' (it is an option: --epochs)",
    "pack a.lst root o.rec --forse": "no such option --forse (did you mean --force?)",
    "inspect a.rec --hed 3": "no such option --hed (did you mean --head?)",
    "inspect a.rec -x": "no such option -x (see 'im2rec inspect --help')",
    "--json inspect a.rec": "no such option --json (options stand after the command: im2rec inspect ... --json)",
    "-q pack a.lst root o.rec": "no such option -q (options stand after the command: im2rec pack ... -q)",
    "--list --recursive prefix root": "no such option --list (write im2rec make-list ROOT --prefix PREFIX)",
    "inspect a.rec --head x": "invalid value for '--head': 'x' is not a whole number (see 'im2rec inspect --help')",
    "inspect a.rec --head 0": "invalid value for '--head': 0 must be 1 or more (see 'im2rec inspect --help')",
    "extract a.rec new --label cat": (
        "invalid value for '--label': 'cat' is not a number (see 'im2rec extract --help')"
    ),
}


@pytest.mark.parametrize("line", MIXED_UP)
def test_options_and_keys_that_are_mixed_up_are_answered_with_the_right_ones(line: str) -> None:
    code, _, err = im2rec(*line.split())
    assert (2, f"im2rec: {MIXED_UP[line]}\n") == (code, err)


def test_words_of_im2rec_py_and_of_other_programs_are_answered_with_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Path("mine.lst").touch()
    expected = {
        "new photos --list --recursive": "for a folder of images: im2rec make-list photos --prefix new",
        "mine photos --resize 480": "for a list: im2rec pack mine.lst photos mine.rec",
        "help": "write im2rec --help",
        "help pack": "write im2rec pack --help",
        "version": "write im2rec --version",
    }
    for line, remedy in expected.items():
        words = line.split()
        assert Ran(2, "", f"im2rec: no command {words[0]!r}; {remedy} (see 'im2rec --help')\n") == im2rec(*words)


@POSIX
def test_a_shell_completes_commands_options_and_keys() -> None:
    def completions(*words: str) -> list[str]:
        line = {"_IM2REC_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
        code, out, err = command(env={**os.environ, **line})
        assert (0, "") == (code, err)
        return [line.removeprefix("plain,") for line in out.splitlines()]

    assert "make-list" in completions("im2rec", "mak")
    assert "--workers" in completions("im2rec", "pack", "--wo")
    assert ["resize="] == completions("im2rec", "pack", "a.lst", "root", "o.rec", "res")
    for name in ("iterate", "bench"):  # REC is a file, whatever follows it a key or a further path
        assert ["file,"] == completions("im2rec", name, "")
        assert ["file,pho"] == completions("im2rec", name, "pho")
        assert ["rand_crop="] == completions("im2rec", name, "a.rec", "rand_c")
        assert "shuffle=" in completions("im2rec", name, "a.rec", "")
        assert ["file,roo"] == completions("im2rec", name, "a.lst", "roo")
    assert ["image="] == completions("im2rec", "iterate", "--kind", "mnist", "a", "im")


@pytest.mark.parametrize("words", [["--head", "2", "--verify"], ["--key", "1", "--sheet", "a.png"]])
def test_options_of_the_summary_are_refused_with_single_records(words: list[str]) -> None:
    code, out, err = im2rec("inspect", PASS_THROUGH, *words)
    assert (2, "") == (code, out)
    assert "--head and --key show single records; --" in err


def test_a_sheet_that_is_not_named_png_is_refused() -> None:
    code, _, err = im2rec("inspect", PASS_THROUGH, "--sheet", "a.jpg")
    assert 2 == code
    assert "--sheet a.jpg: must end in .png, as it is a PNG" in err
