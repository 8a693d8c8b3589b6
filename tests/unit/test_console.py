"""The output of all commands: tables, sizes, progress, JSON, and their common options."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import click
import pytest

from im2rec.cli.console import Console, common_options, table
from im2rec.cli.exit_codes import ExitCode
from im2rec.errors import counted, human_size
from im2rec.schema import SCHEMA

SIZES = {
    0: "0 B",
    1: "1 B",
    999: "999 B",
    1000: "1 kB",
    1234: "1.23 kB",
    12_345: "12.3 kB",
    123_456: "123 kB",
    999_499: "999 kB",
    999_500: "1 MB",
    1_500_000_000: "1.5 GB",
    2_000_000_000_000: "2 TB",
}


def test_sizes_have_three_digits_and_a_decimal_unit() -> None:
    assert SIZES == {number: human_size(number) for number in SIZES}


def test_numbers_agree_with_their_nouns() -> None:
    assert ["0 images", "1 image", "2 images", "1,234 images"] == [counted(n, "image") for n in (0, 1, 2, 1234)]
    assert ["1 class", "2 classes"] == [counted(n, "class", "classes") for n in (1, 2)]


def test_a_table_has_two_columns() -> None:
    assert "packed 3 images of l.lst\n  bytes   1 kB in\n  images  engine pillow" == table(
        "packed 3 images of l.lst", [("bytes", "1 kB in"), ("left out", ""), ("images", "engine pillow")]
    )


NEXT = ["im2rec", "inspect", "my photos.rec"]
# options -> what is printed on stdout
PRINTED = {(): "text\nnext: im2rec inspect 'my photos.rec'\n", ("-q",): "text\n", ("-qq",): "", ("-q", "--quiet"): ""}


@pytest.mark.parametrize("options", PRINTED)
def test_the_next_command_ends_a_result_and_q_leaves_it_out_and_qq_the_result_too(
    capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    @click.command("some")
    @common_options(writes=False)
    def some(console: Console) -> None:
        console.result("some", Data(), "text", NEXT)
        console.warn(["careful"])

    some.main(options, standalone_mode=False)
    assert (PRINTED[options], "warning: careful\n") == capsys.readouterr()
    some.main([*options, "--json"], standalone_mode=False)
    assert {"schema": SCHEMA, "command": "some", "images": 3} == {
        key: value
        for key, value in json.loads(capsys.readouterr().out).items()
        if key in ("schema", "command", "images")
    }


@pytest.mark.parametrize(
    ("options", "code", "warning"),
    [
        ("-qq", ExitCode.PROBLEMS, "inputs were left out, or problems were found (with one -q the result says more)"),
        ("-qq", ExitCode.DAMAGED, "the .rec is damaged (with one -q the result says more)"),
        ("-qq", ExitCode.DONE, ""),
        ("-q", ExitCode.PROBLEMS, ""),
        ("-qq --json", ExitCode.PROBLEMS, ""),
    ],
)
def test_qq_warns_where_the_result_that_it_leaves_out_is_not_all_well(
    capsys: pytest.CaptureFixture[str], options: str, code: ExitCode, warning: str
) -> None:
    @click.command("some")
    @common_options(writes=False)
    def some(console: Console) -> ExitCode:
        console.result("some", Data(), "text", NEXT)
        return code

    assert code == some.main(options.split(), standalone_mode=False)
    assert (f"warning: {warning}\n" if warning else "") == capsys.readouterr().err


def test_the_next_command_of_a_dry_run_is_the_same_without_it(capsys: pytest.CaptureFixture[str]) -> None:
    dry = dataclasses.make_dataclass("Dry", [("dry_run", bool)])(dry_run=True)
    Console(words=("pack", "my list.lst", "--dry-run", "-x")).result("pack", dry, "text", NEXT)

    assert "text\nnext: im2rec pack 'my list.lst' -x\n" == capsys.readouterr().out


@pytest.mark.parametrize("name", ["written", "would write"])
def test_a_path_is_not_broken_at_its_blanks(name: str) -> None:
    paths = [f"my photos {number}/a b.lst ({number})" for number in range(8)]
    lines = table("head", [(name, ", ".join(paths))]).splitlines()

    assert 80 >= max(map(len, lines))
    assert all(any(path in line for line in lines) for path in paths)


def test_a_long_value_is_wrapped_inside_its_column() -> None:
    lines = table("head", [("name", "word " * 40), ("other", "x")]).splitlines()

    assert ["head", "  name   ", "         ", "         ", "  other  "] == [lines[0], *(line[:9] for line in lines[1:])]
    assert all(len(line) <= 80 for line in lines)
    assert 40 == sum(line.count("word") for line in lines)


def test_a_long_path_is_not_broken() -> None:
    path = "/" + "/".join(["a-rather-long-folder-name"] * 6) + "/photos_train.rec"

    assert f"  written  {path}" in table("head", [("written", path)]).splitlines()
    assert path in table(f"packed 3 images of {path}", []).splitlines()[-1]


@dataclasses.dataclass
class Data:
    """A result, with room for floats that JSON cannot represent."""

    images: int = 3
    share: float = 0.5
    names: tuple[str, ...] = ("a", "\udcff")
    odd: tuple[float, ...] = ()


def printed(console: Console, data: Any, capsys: pytest.CaptureFixture[str]) -> str:
    console.result("pack", data, "for a person")
    return capsys.readouterr().out


def test_a_result_is_text_or_one_json_object_with_a_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert "for a person\n" == printed(Console(), Data(), capsys)
    line = printed(Console(as_json=True), Data(), capsys)
    assert {
        "schema": SCHEMA,
        "command": "pack",
        "images": 3,
        "share": 0.5,
        "names": ["a", "\udcff"],
        "odd": [],
    } == json.loads(line)
    assert 1 == line.count("\n")
    assert line.isascii()


def test_infinities_and_nan_are_null_which_every_parser_reads(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    line = printed(Console(as_json=True), Data(odd=(float("nan"), float("inf"), -float("inf"))), capsys)

    assert [None, None, None] == json.loads(line, parse_constant=refuse)["odd"]


def test_each_warning_is_a_line_on_stderr_with_quiet_too(capsys: pytest.CaptureFixture[str]) -> None:
    Console(quiet=1).warn(["one", "two"])

    assert ("", "warning: one\nwarning: two\n") == capsys.readouterr()


@pytest.mark.parametrize(("writes", "expected"), [(True, {"force", "dry_run"}), (False, set())])
def test_commands_that_write_have_force_and_dry_run_besides_the_common_options(
    expected: set[str], *, writes: bool
) -> None:
    calls: list[tuple[Console, dict[str, Any]]] = []

    @click.command("some")
    @common_options(writes=writes)
    def some(console: Console, **rest: Any) -> None:
        calls.append((console, rest))

    some.main(["--json", "-q", "--debug"], standalone_mode=False)
    assert [(Console(as_json=True, quiet=1), dict.fromkeys(expected, False))] == calls


def test_a_table_escapes_what_a_terminal_obeys() -> None:
    text = table("a\x1b[2J", [("property", "4,16\r\n12\x07\x9b1m"), ("written", "a\x00b\x7f")])
    assert ["  name  gpj.\\u202etxt"] == table("", [("name", "gpj.\u202etxt")]).splitlines()
    assert ["a\\x1b[2J", "  property  4,16  12\\x07\\x9b1m", "  written   a b\\x7f"] == text.splitlines()
