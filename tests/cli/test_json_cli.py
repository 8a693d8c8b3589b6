"""Objects of ``--json`` of every command against the declarations that docs/json.md is made from, and the next command.

Each command is run on good input, on input with problems, and on input that it refuses.
"""

from __future__ import annotations

import importlib.util
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from dataset_helpers import MNIST_FILES, PYTHON10, idx_images, idx_labels, tarred, write_files
from helpers import GOLDEN, image_payload, index_text, write_rec
from image_helpers import a_list_of_images, encoded, im2rec, texture, write_images
from part_helpers import packed_parts

from im2rec.cli.error_object import KINDS, ErrorResult
from im2rec.cli.exit_codes import run
from im2rec.errors import CorruptRecordError, OutputError
from im2rec.format.binfile import encode_bin
from im2rec.schema import SCHEMA, keys_of
from im2rec.storage.digest import write_digest

pytestmark = pytest.mark.usefixtures("ticking")

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs" / "generate.py")
assert spec is not None
assert spec.loader is not None
generator = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generator)

QUICK = "--seconds 0.02 --threads 1"
# title on docs/json.md -> command lines
RUNS = {
    "im2rec make-list": [
        "make-list photos",
        "make-list 'my photos' --split 0.5 --stratify",
        "make-list photos --dry-run",
    ],
    "im2rec pack": [
        "pack l.lst photos o.rec",
        "pack bad.lst photos 'o bad.rec' unchanged=1",
        "pack l.lst photos p.rec --dry-run",
        "pack l.lst photos d.rec --digest",
    ],
    "im2rec join": [
        "join p.rec.part000 p.rec.part001 o.rec",
        "join 'p bad.rec.part*' 'o bad.rec'",
        "join 'p.rec.part*' o.rec --digest --dry-run",
    ],
    "im2rec merge": [
        "merge good.rec faces.rec m.rec",
        "merge good.rec damaged.rec hashed.rec 'my m.rec' --drop-same --no-header",
        "merge faces.rec good.rec m.rec --same-labels --dry-run",
        "merge good.rec hashed.rec m.rec --no-same",
    ],
    "im2rec inspect": [
        *(
            "inspect good.rec --sheet s.png",
            "inspect 'my bad.rec'",
            "inspect 'my bad.rec' --verify",
            "inspect empty.rec",
        ),
        *("inspect hashed.rec --verify", "inspect changed.rec --verify", "inspect foreign.rec --verify"),
        *("inspect wrong.rec", "inspect damaged.rec", "inspect many.rec --verify", "inspect faces.rec"),
        *("inspect boxes.rec", f"inspect {shlex.quote(str(GOLDEN / 'labels.rec'))}"),
    ],
    "im2rec inspect --head, --key": [
        "inspect good.rec --head 2",
        "inspect damaged.rec --head 1",
        "inspect good.rec --key 1",
    ],
    "im2rec iterate": [
        *("iterate good.rec --batch-size 2 --dump dump", "iterate 'my bad.rec' on_error=skip data_shape=3,8,8"),
        *(
            "iterate images.idx --kind mnist label=labels.idx last_batch=pad",
            "iterate rows.csv --kind csv data_shape=3",
        ),
        *("iterate rows.svm --kind libsvm data_shape=3", "iterate good.rec --kind uint8 --sheet 'my sheet' --dry-run"),
    ],
    "im2rec iterate --replay": ["iterate good.rec rand_mirror=1 --replay epoch=0,record=1"],
    "im2rec iterate --sheet-draws": [
        "iterate good.rec rand_mirror=1 --sheet-draws 2 --sheet 'my sheet'",
        "iterate 'my bad.rec' on_error=skip data_shape=3,8,8 --sheet-draws 2",
    ],
    "im2rec iterate --list-params": ["iterate --list-params", "iterate --list-params --kind csv"],
    "im2rec bench": [f"bench good.rec {QUICK} --plot p.png", f"bench 'my bad.rec' data_shape=3,8,8 {QUICK}"],
    "im2rec bench LIST ROOT": [f"bench l.lst photos {QUICK}"],
    "im2rec bench --dry-run": ["bench good.rec --dry-run", "bench l.lst photos --dry-run"],
    "im2rec extract": [
        *(
            "extract good.rec 'out put'",
            "extract good.rec tars --to tar",
            "extract 'my bad.rec' bad",
            "extract many.rec many",
        ),
        "extract good.rec dry --dry-run --head 1",
    ],
    "im2rec select": [
        "select good.rec 'out put.rec' --sample 50% --relabel",
        "select 'my bad.rec' bad.rec --renumber",
        "select 'my bad.rec' decodable.rec --decodable --workers 1",
        "select faces.rec f.rec --header --dry-run",
        "select damaged.rec d.rec",
    ],
    "im2rec recover": [
        "recover damaged.rec 'out put.rec' --report r.json",
        "recover good.rec o.rec --doubtful drop",
        "recover damaged.rec o.rec --no-idx --list l.lst --dry-run",
    ],
    "im2rec recover --repair-from": [
        "recover hashed.rec o.rec --repair-from damaged.rec",
        "recover changed.rec o.rec --repair-from hashed.rec --dry-run",
        "recover changed.rec 'o 2.rec' --repair-from changed.rec",
    ],
    "im2rec index": ["index good.rec --force", "index damaged.rec", "index faces.rec --for dali --dry-run"],
    "im2rec import": ["import mnist digits --from raw", "import cifar10 c --download --dry-run"],
    "im2rec digest": ["digest good.rec", "digest 'my bad.rec' --out 'a digest'", "digest good.rec --dry-run"],
    "im2rec compile": ["compile --dry-run"],
    "im2rec cache": ["cache", "cache --clear", "cache --clear --all --dry-run"],
    "im2rec bin list": ["bin list lfw.bin --sheet s.png", "bin list 'my bad.bin'"],
    "im2rec bin make": ["bin make pairs.txt photos 'o ut.bin'", "bin make pairs.txt photos o.bin --dry-run"],
    "im2rec bin extract": [
        "bin extract lfw.bin 'out put'",
        "bin extract 'my bad.bin' bad",
        "bin extract lfw.bin d --dry-run",
    ],
    "im2rec bin verify": ["bin verify lfw.bin", "bin verify 'my bad.bin'"],
}
LINES = [(title, line) for title, lines in RUNS.items() for line in lines]


def skip_without_compiler(line: str) -> None:
    if line.startswith("compile"):
        pytest.importorskip("numba")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the parts of two packs, one of them with bad images."""
    listed, root = a_list_of_images(tmp_path_factory.mktemp("images"), 3)
    folder = tmp_path_factory.mktemp("parts")
    packed_parts(listed, root, folder / "p.rec", 2)
    (root / "1.jpg").unlink()
    packed_parts(listed, root, folder / "p bad.rec", 2)
    return folder


@pytest.fixture(autouse=True)
def _files(here: Path, cache: Path, parts: Path) -> None:
    """Good and bad input for every command in the current folder, and a downloaded set in the cache."""
    for folder in ("photos", "my photos"):
        write_images(here / folder, ["a/1.jpg", "b b/2.jpg", "b b/3.jpg"])
    (here / "l.lst").write_text("0\t0\ta/1.jpg\n1\t1\tb b/2.jpg\n2\t1\tb b/3.jpg\n")
    (here / "bad.lst").write_text("0\t0\ta/1.jpg\n1\t1\tgone.jpg\n")
    for file in parts.iterdir():
        shutil.copy(file, here)
    image = encoded(texture())
    good = [image_payload(n, n, image) for n in range(3)]
    write_rec(here / "good.rec", good, keys=range(3))
    write_rec(here / "my bad.rec", [*good, image_payload(3, 3, image[:60]), image_payload(4, 3, b"text")])
    write_rec(here / "many.rec", [image_payload(n, 3, b"text") for n in range(5)] + good)
    write_rec(here / "empty.rec", [image_payload(0, 0, b"")])
    write_rec(here / "wrong.rec", good)
    (here / "wrong.idx").write_bytes(index_text([0, 4, 8]))
    write_rec(here / "boxes.rec", [image_payload(n, [2, 5, 0, 0.1, 0.1, 0.5, 0.5], image) for n in range(3)])
    faces = [image_payload(0, [4, 5], b""), *(image_payload(n, 0, image) for n in (1, 2, 3))]
    write_rec(here / "faces.rec", [*faces, image_payload(4, [1, 4], b"")])
    data = (here / "good.rec").read_bytes()
    (here / "damaged.rec").write_bytes(data + b"\xff" * 8)
    for name in ("hashed.rec", "changed.rec", "foreign.rec"):
        write_rec(here / name, good)
        write_digest(here / name)
    (here / "changed.rec").write_bytes(data[:-1] + b"x")
    (here / "foreign.rec.digest").write_bytes(b"no digest")
    write_files(here / "raw", MNIST_FILES)
    for folder in (here, cache / "cifar10"):
        write_files(folder, {"cifar-10-python.tar.gz": tarred(PYTHON10)})
    write_files(cache / "mnist", {"t10k-labels-idx1-ubyte.gz.part": b"half"})
    (here / "images.idx").write_bytes(idx_images(texture(8, 5, 1).reshape(2, 4, 5)))
    (here / "labels.idx").write_bytes(idx_labels(texture(1, 2, 1).reshape(2)))
    (here / "bad.csv").write_text("1,x\n")
    (here / "rows.csv").write_text("1,2,3\n")
    (here / "pairs.txt").write_text("a/1.jpg\tb b/2.jpg\t0\nb b/2.jpg\tb b/3.jpg\t1\n")
    (here / "lfw.bin").write_bytes(b"".join(encode_bin([image] * 4, [True, False])))
    (here / "my bad.bin").write_bytes(b"".join(encode_bin([image, image[:60], image, b"text"], [True, False])))
    (here / "rows.svm").write_text("1 0:2.5 2:1\n")


def refuse(word: str) -> None:
    raise AssertionError(f"{word} is not JSON")


def parsed(out: str) -> dict[str, Any]:
    """The object that is printed on one line."""
    assert 1 == out.count("\n")
    found: dict[str, Any] = json.loads(out, parse_constant=refuse)
    return found


IS_OF_TYPE = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)),
}


def assert_is(value: Any, type_name: str, holds: type[Any] | None, where: str) -> None:
    """Assert that *value* has the type that the documentation gives: ``list of objects``, ``integer``, ..."""
    container, of, items = type_name.partition(" of ")
    if of:
        assert isinstance(value, list if container.startswith("list") else dict), where
        for item in value if isinstance(value, list) else value.values():
            noun, _, rest = items.partition(" ")
            assert_is(item, f"{noun.removesuffix('s')} {rest}".strip(), holds, where)
    elif holds is not None:
        assert_has_keys(value, holds, where)
    else:
        assert IS_OF_TYPE[type_name](value), f"{where}: {value!r} is no {type_name}"


def assert_has_keys(value: dict[str, Any], kind: type[Any], where: str) -> None:
    keys = keys_of(kind)
    assert [key.name for key in keys] == list(value), where
    for key in keys:
        if not (key.is_optional and value[key.name] is None):
            assert_is(value[key.name], key.type_name, key.holds, f"{where}: {key.name}")


@pytest.mark.parametrize(("title", "line"), LINES, ids=[line for _, line in LINES])
def test_an_object_has_the_keys_and_types_of_its_declaration(title: str, line: str) -> None:
    skip_without_compiler(line)
    words = shlex.split(line)
    done = im2rec(*words, "--json", "-qq")
    found = parsed(done.out)

    assert done.code in (0, 3, 4, 5), done.err
    name = " ".join(words[: 2 if words[0] == "bin" else 1])
    assert (SCHEMA, name) == (found.pop("schema"), found.pop("command"))
    assert_has_keys(found, generator.RESULTS[title], line)


def test_every_command_with_an_object_is_run() -> None:
    assert set(generator.RESULTS) == set(RUNS)


def test_a_key_has_one_type_in_all_objects() -> None:
    types: dict[str, set[str]] = {}
    for kind in (*generator.RESULTS.values(), *generator._inner_objects().values(), *keys_of(ErrorResult)[0][-1:]):
        for key in keys_of(kind):
            types.setdefault(key.name, set()).add(f"{key.type_name} {key.holds.__name__ if key.holds else ''}")

    assert {} == {name: found for name, found in types.items() if len(found) > 1}


def test_the_page_on_json_is_generated_from_the_declarations() -> None:
    assert generator.json_page() == (ROOT / "docs" / "json.md").read_text(encoding="utf-8")


# The next command.

WITHOUT_NEXT = ("iterate --list-params", "iterate --list-params --kind csv")


@pytest.mark.parametrize("line", [line for _, line in LINES if line not in WITHOUT_NEXT])
def test_every_result_ends_with_a_command_that_can_be_typed(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    skip_without_compiler(line)
    done = im2rec(*shlex.split(line))
    last = done.out.splitlines()[-1]

    assert last.startswith("next: "), done
    program, *words = shlex.split(last.removeprefix("next: "))
    if program == "im2rec":
        monkeypatch.setattr("im2rec.cli.compile.command.callback", lambda **_: 0)
        monkeypatch.setattr("im2rec.cli.import_.fetch_set", lambda *_, **__: None)
        if words[0] == "bench" and words[1:]:
            words += ["--dry-run"]  # its measurements take half a minute
        again = im2rec(*words)
        assert again.code in (0, 3, 4, 5), again
    else:
        assert program in ("cat", "tar")
        assert Path(words[-1]).is_file()


NEXT = {
    "inspect good.rec": "im2rec inspect good.rec --head 3",
    "inspect wrong.rec": "im2rec iterate wrong.rec path_imgidx=none",
    "inspect damaged.rec": "im2rec recover damaged.rec damaged_recovered.rec",
    "inspect 'my bad.rec'": "im2rec inspect 'my bad.rec' --verify",
    "inspect 'my bad.rec' --verify": "im2rec select 'my bad.rec' 'my bad_decodable.rec' --decodable",
    "inspect many.rec --verify": "im2rec select many.rec many_decodable.rec --decodable",
    "inspect empty.rec": "im2rec inspect empty.rec --verify",
    "iterate 'my bad.rec' on_error=skip data_shape=3,8,8": "im2rec inspect 'my bad.rec' --verify",
    "iterate good.rec": "im2rec bench good.rec",
    "pack bad.lst photos o.rec": "cat o.rec.bad.jsonl",
    "pack l.lst photos -- -o.rec": "im2rec inspect ./-o.rec",
    "pack l.lst photos q.rec nsplit=2 part=1": "im2rec join 'q.rec.part*' q.rec",
    "join 'p.rec.part*' o.rec": "im2rec inspect o.rec",
    "join 'p bad.rec.part*' o.rec": "cat o.rec.bad.jsonl",
    "merge good.rec hashed.rec 'my m.rec'": "im2rec inspect 'my m.rec'",
    "merge good.rec faces.rec m.rec": "im2rec inspect m.rec --profile insightface",
    "merge good.rec damaged.rec m.rec": "im2rec recover damaged.rec damaged_recovered.rec",
    "extract many.rec out": "im2rec inspect many.rec --verify",
    "bin make pairs.txt photos -- -o.bin": "im2rec bin list ./-o.bin",
    "bin extract 'my bad.bin' d": "im2rec bin verify 'my bad.bin'",
    "select good.rec o.rec": "im2rec inspect o.rec",
    "select damaged.rec o.rec": "im2rec recover damaged.rec damaged_recovered.rec",
    "make-list photos --split 0,1": "im2rec pack photos_test.lst photos photos_test.rec",
}


@pytest.mark.parametrize("line", NEXT)
def test_the_next_command_goes_to_the_root_of_a_problem(line: str) -> None:
    assert f"next: {NEXT[line]}" == im2rec(*shlex.split(line)).out.splitlines()[-1]


# Errors.

# command line -> kind, path, record, line, byte, exit code
ERRORS: dict[str, tuple[object, ...]] = {
    "inspect gone.rec": ("input", "gone.rec", None, None, None, 4),
    "inspect photos": ("input", "photos", None, None, None, 4),
    "select good.rec photos": ("output", "photos", None, None, None, 1),
    "select good.rec o.rec --drop bad.csv": ("input", "bad.csv", None, 1, None, 4),
    "extract good.rec photos": ("output", "photos", None, None, None, 1),
    "extract good.rec new --classes twice.txt": ("input", "twice.txt", None, 2, None, 4),
    "make-list photos --prefix new --classes twice.txt": ("input", "twice.txt", None, 2, None, 4),
    "inspect good.rec --hed": ("usage", None, None, None, None, 2),
    "inspct": ("usage", None, None, None, None, 2),
    "iterate good.rec batch=3": ("usage", None, None, None, None, 2),
    "iterate wrong.rec": ("input", "wrong.idx", None, None, None, 4),
    "iterate 'my bad.rec' data_shape=3,8,8": ("image", "my bad.rec", 3, None, 2892, 1),
    "iterate damaged.rec data_shape=3,8,8": ("damaged", "damaged.rec", 3, None, 2892, 5),
    "make-list photos --prefix photos/a/1": ("output", "photos/a/1.lst", None, None, None, 1),
    "digest gone.rec": ("input", "gone.rec", None, None, None, 4),
    "digest hashed.rec": ("output", "hashed.rec.digest", None, None, None, 1),
    "inspect good.rec --sheet there.png": ("output", "there.png", None, None, None, 1),
    "pack l.lst gone o.rec": ("input", "gone", None, None, None, 4),
    "pack bad.lst photos o.rec --on-error fail": ("image", "bad.lst", None, 2, None, 1),
    "pack bad.lst photos o.rec --max-bad 0": ("failed", "bad.lst", None, 2, None, 1),
    "iterate bad.csv --kind csv data_shape=2": ("input", "bad.csv", None, 1, None, 4),
    "pack l.lst photos - ": ("usage", None, None, None, None, 2),
    "bin make rows.csv photos o.bin": ("input", "rows.csv", None, 1, None, 4),
    "bin make pairs.txt photos/a o.bin": ("input", "pairs.txt", None, 1, None, 4),
    "bin extract good.rec d": ("input", "good.rec", None, None, None, 4),
    "join p.rec.part000 o.rec": ("input", None, None, None, None, 4),
    "join cut.rec.part000 o.rec": ("damaged", "cut.rec.part000", None, None, 4, 5),
    "merge good.rec gone.rec m.rec": ("input", "gone.rec", None, None, None, 4),
    "merge good.rec wrong.rec good.rec": ("usage", None, None, None, None, 2),
    "merge good.rec hashed.rec l.lst": ("output", "l.lst", None, None, None, 1),
    "merge good.rec hashed.rec m.rec --classes twice.txt": ("input", "twice.txt", None, 2, None, 4),
    "iterate good.rec data_shape=3,8,8 mean_img=bad.csv": ("input", "bad.csv", None, None, 0, 4),
}


@pytest.mark.parametrize("line", ERRORS)
def test_an_error_is_an_object_on_stdout_beside_its_line_on_stderr(here: Path, line: str) -> None:
    (here / "there.png").touch()
    (here / "twice.txt").write_text("a\na\n")
    for suffix in ("", ".idx", ".json"):
        data = (here / f"p.rec.part000{suffix}").read_bytes().replace(b'"nsplit": 2', b'"nsplit": 1')
        (here / f"cut.rec.part000{suffix}").write_bytes(data if suffix else data[:4])
    (here / "photos" / "a" / "1.lst").touch()
    plain = im2rec(*shlex.split(line))
    done = im2rec(*shlex.split(line), "--json")
    found = parsed(done.out)
    error = found["error"]

    assert (plain.code, "") == (done.code, plain.out)
    assert done.err.splitlines()[-1] == plain.err.splitlines()[-1]
    assert SCHEMA == found.pop("schema")
    assert_has_keys(found, ErrorResult, line)
    names = ("kind", "path", "record", "line", "byte", "exit")
    expected = dict(zip(names, ERRORS[line], strict=True))
    expected["byte"] = error["byte"] if expected["byte"] is not None else None
    assert expected == {name: error[name] for name in names}
    assert error["message"] in done.err
    assert error["hint"] is None or f"({error['hint']})" in done.err
    assert error["kind"] in KINDS


FAILURES: dict[str, tuple[BaseException, dict[str, object]]] = {
    "interrupt": (
        KeyboardInterrupt(),
        {"kind": "interrupted", "hint": "to begin again: im2rec pack --json", "exit": 130},
    ),
    "internal": (RuntimeError("odd"), {"kind": "internal", "message": "internal error: RuntimeError: odd", "exit": 1}),
    "system": (OSError(28, "No space left on device"), {"kind": "system", "exit": 1}),
    "output": (
        OutputError("exists already", path=Path("o.rec"), hint="replace it with force=True"),
        {"kind": "output", "path": "o.rec", "message": "exists already", "hint": "replace it with --force"},
    ),
    "damaged": (CorruptRecordError("is cut", offset=12), {"kind": "damaged", "byte": 12, "path": None, "exit": 5}),
}


@pytest.mark.parametrize("case", FAILURES)
def test_whatever_ends_a_command_is_an_object(capsys: pytest.CaptureFixture[str], case: str) -> None:
    error, expected = FAILURES[case]

    def command(_: list[str]) -> None:
        raise error

    code = run(command, ["pack", "--json"])
    found = parsed(capsys.readouterr().out)["error"]
    assert code == found["exit"]
    assert expected == {key: found[key] for key in expected}


# Names that are "-", and folders without permission.

DASHES = [
    *("make-list -", "make-list photos --prefix -", "pack - photos o.rec", "pack l.lst - o.rec", "pack l.lst photos -"),
    *("inspect -", "inspect good.rec --sheet -", "inspect good.rec --idx -", "extract - out", "extract good.rec -"),
    *("digest -", "digest good.rec --out -"),
    *("extract good.rec out --classes -", "import mnist - --from raw", "import mnist out --from -", "iterate -"),
    *("iterate path_imgrec=-", "iterate good.rec path_imglist=-", "iterate good.rec --dump -", "iterate - --kind csv"),
    *("bench -", "bench l.lst -", "bench good.rec --plot -"),
]


@pytest.mark.parametrize("line", DASHES)
def test_a_name_that_is_a_dash_is_refused_with_a_sentence(line: str) -> None:
    code, out, err = im2rec(*shlex.split(line))

    assert (2, "", 1) == (code, out, err.count("\n"))
    assert "standard input and output cannot be used here" in err
    assert "name a file; ./- is one of that name" in err


EMPTY = ["make-list ''", "pack '' photos o.rec", "extract good.rec ''", "iterate good.rec --dump ''", "inspect ''"]


@pytest.mark.parametrize("line", EMPTY)
def test_an_empty_name_is_refused_and_is_not_the_current_folder(line: str) -> None:
    code, out, err = im2rec(*shlex.split(line))

    assert (2, "", 1) == (code, out, err.count("\n"))
    assert "a path cannot be empty, as from a variable that is not set; '.' is the current folder" in err


REFUSED = {
    "make-list photos --prefix closed/l": "closed/l.lst",
    "pack l.lst photos closed/o.rec": "closed/o.rec",
    "inspect good.rec --sheet closed/s.png": "closed/s.png",
    "digest good.rec --out closed/d": "closed/d",
    "iterate good.rec --dump closed/new/dump": "closed/new/dump",
    "iterate good.rec --sheet closed/new": "closed/new",
    "iterate good.rec mean_img=closed/mean.bin": "closed/mean.bin",
    "bench good.rec --plot closed/p.png": "closed/p.png",
    "extract good.rec closed/out": "closed/out",
    "import mnist closed/out --from raw": "closed/out",
}


@pytest.mark.parametrize("line", REFUSED)
def test_an_output_folder_without_permission_is_refused_before_the_work(
    here: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    (here / "closed").mkdir()
    monkeypatch.setattr("os.access", lambda path, _: Path(path).name != "closed")
    for work in (
        "packing.make_list.walk_folder",
        "packing.pack.read_list",
        "cli.inspect.survey",
        "datasets.importing.read_set",
    ):
        monkeypatch.setattr(f"im2rec.{work}", None, raising=False)
    code, out, err = im2rec(*shlex.split(line))

    assert (1, "") == (code, out)
    assert err.splitlines()[-1].startswith(f"im2rec: {REFUSED[line]}: cannot be written: permission denied")
    assert [] == list((here / "closed").iterdir())
