"""The command ``im2rec iterate``: its output and files, and its exit codes."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers import bounds, image_payload, message_of, write_rec
from image_helpers import POSIX, Ran, command, encoded, im2rec, names_in, texture, typed
from iterator_helpers import CUT, NO_IMAGE, TEXT, a_rec, epoch, image, in_fours, payloads, pixels
from PIL import Image

from im2rec.iterators.image_record import ImageRecordInt8Iter, ImageRecordIter, ImageRecordUInt8Iter
from im2rec.pipeline.params import ImageRecordParams
from im2rec.runs.outputs import class_names_of
from im2rec.runs.run import run

SMALL = ["some.rec", "--batch-size", "4", "-q"]
PLAIN = """\
iterated over 10 records of some.rec, 1 epoch
  batches  3 batches of 4 x 3 x 8 x 8 float32
  images   10, and 2 of filler
  opening  SECONDS s; the first batch SECONDS s later
  time     SECONDS s after that, RATE images/s, 4 threads
  digest   DIGEST
  engine   ENGINE
  kernel   KERNEL
  memory   SIZE at most
"""
SKIPPED = """\
iterated over 10 records of some.rec, 2 epochs
  batches    6 batches of 4 x 3 x 8 x 8 float32
  images     12 of 20 records, and 12 of filler
  opening    SECONDS s; the first batch SECONDS s later
  time       SECONDS s after that, RATE images/s, 4 threads
  digest     DIGEST
  skipped    some.rec, record 2, id 102, byte 688: holds no image that can be
             read
             some.rec, record 5, id 105, byte 1428: the image is empty: fetch it
             again
             some.rec, record 7, id 107, byte 1804: holds no image that can be
             read
             and 1 more (--json lists all)
  cut short  some.rec, record 9, id 109, byte 1908: the image data ends early
  engine     ENGINE
  kernel     KERNEL
  memory     SIZE at most
"""


@pytest.fixture(autouse=True)
def some(here: Path) -> Path:
    """Ten records in the current folder."""
    return a_rec(here)


def masked(text: str) -> str:
    """Return *text* with words in place of what differs from run to run and from machine to machine."""
    for pattern, word in (
        (r"[\d.,]+ s after that, [\d.,]+ images", "SECONDS s after that, RATE images"),
        (r"[\d.,]+ s; the first batch [\d.,]+ s later", "SECONDS s; the first batch SECONDS s later"),
        (r"\b[0-9a-f]{16}\b", "DIGEST"),
        (r"(engine +)\w+", r"\1ENGINE"),
        (r"(kernel +).+", r"\1KERNEL"),
        (r"(memory +)[\d.]+ .B", r"\1SIZE"),
    ):
        text = re.sub(pattern, word, text)
    return "".join(line for line in text.splitlines(keepends=True) if sys.platform != "win32" or "memory" not in line)


def as_json(*words: object) -> Any:
    done = im2rec("iterate", *words, "--json", "-q")
    assert (0, "") == (done.code, done.err)
    return json.loads(done.out)


# Output.


def test_the_summary_is_a_table_on_stdout_and_the_opened_file_is_logged_on_stderr() -> None:
    done = im2rec("iterate", "some.rec", "--batch-size", "4")
    opened = f"some.rec: 10 records, 4 threads, engine {as_json(*SMALL)['engine']}\n"

    assert (0, PLAIN + "next: im2rec bench some.rec --batch-size 4\n", opened) == (
        done.code,
        masked(done.out),
        done.err,
    )
    quiet = im2rec("iterate", *SMALL)
    assert Ran(0, PLAIN, "") == quiet._replace(out=masked(quiet.out))


def test_json_is_one_object_with_the_content_of_the_table() -> None:
    data = as_json(*SMALL)

    times = ("seconds", "opening_s", "first_batch_s", "images_per_s")
    assert all(data[name] > 0 for name in times)
    assert re.fullmatch(r"numba [\d.]+|none: .+", data["kernel"])
    varying = (*times, "digest", "engine", "kernel", "peak_memory")
    assert {
        "schema": 2,
        "command": "iterate",
        "iterator_kind": "image",
        "input": "some.rec",
        "records": 10,
        "data_shape": [3, 8, 8],
        "batch_size": 4,
        "dtype": "float32",
        "threads": 4,
        "backend": "threads",
        "epochs": 1,
        "batches": 3,
        "images": 10,
        "pad": 2,
        "without_image": 0,
        "skipped": [],
        "truncated": [],
        "files": [],
        "dry_run": False,
        "num_parts": 1,
        "part_index": 0,
        "part_records": 10,
        "damaged_ranges": 0,
        "damaged_bytes": 0,
        "damaged_records": 0,
        "doubtful": 0,
        "lost": 0,
    } == {key: value for key, value in data.items() if key not in varying}


# By words: the start of the first line, and records in all, of the part, and images.
READ: dict[str, tuple[str, tuple[int, int, int]]] = {
    "": ("iterated over 10 records of some.rec, 1 epoch", (10, 10, 10)),
    "--epochs 2": ("iterated over 10 records of some.rec, 2 epochs", (10, 10, 20)),
    "--max-batches 2": ("iterated over 8 of the 10 records of some.rec, 1 epoch", (10, 10, 8)),
    "last_batch=discard": ("iterated over 8 of the 10 records of some.rec, 1 epoch", (10, 10, 8)),
    "--epochs 2 --max-batches 4": ("iterated over 10 records of some.rec, 2 epochs", (10, 10, 14)),
    "num_parts=3 part_index=1": ("iterated over 3 records of part 1 of 3 of some.rec, 1 epoch", (10, 3, 3)),
    "num_parts=3 part_index=2": ("iterated over 4 records of part 2 of 3 of some.rec, 1 epoch", (10, 4, 4)),
    "num_parts=2 --max-batches 1": ("iterated over 4 of the 5 records of part 0 of 2 of some.rec, 1 epoch", (10, 5, 4)),
    "num_parts=3 shuffle=1": ("iterated over 4 records of part 0 of 3 of some.rec, 1 epoch", (10, 4, 4)),
    "num_parts=20 part_index=1 --max-batches 1": (
        "iterated over 1 record of part 1 of 20 of some.rec, 1 epoch",
        (10, 1, 1),
    ),
    "num_parts=2 --dry-run": ("would iterate over 5 records of part 0 of 2 of some.rec", (10, 5, 0)),
}


@pytest.mark.parametrize("words", READ)
def test_the_result_says_how_many_records_of_which_part_were_read(words: str) -> None:
    out = im2rec("iterate", *SMALL, *words.split()).out
    data = as_json(*SMALL, *words.split())

    assert READ[words] == (out.splitlines()[0], (data["records"], data["part_records"], data["images"]))


def test_a_part_of_the_reference_has_its_own_number_of_records() -> None:
    data = as_json(*SMALL, "rng=mxnet", "num_parts=3", "part_index=2", "path_imgidx=some.idx")

    assert (2, 2) == (data["part_records"], data["images"])  # of 10, the parts have 4, 4 and 2


def test_the_rate_is_that_after_the_first_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10.0, 14.0, 15.0])  # the start, the first batch, the end
    monkeypatch.setattr("im2rec.runs.run.time", SimpleNamespace(perf_counter=lambda: next(times)))
    with ImageRecordIter(path_imgrec="some.rec", data_shape=(3, 8, 8), batch_size=4) as it:
        summary = run(it, epochs=1, max_batches=None, sink=lambda _epoch, _batch: None)

    assert (5.0, 4.0, 6.0) == (summary.seconds, summary.first_batch_s, summary.images_per_s)


def test_without_a_second_batch_there_is_no_rate() -> None:
    words = [*SMALL, "--max-batches", "1"]

    assert as_json(*words)["images_per_s"] is None
    assert "  time     no second batch, so no rate, 4 threads\n" in im2rec("iterate", *words).out


def test_the_digest_depends_on_what_is_delivered_and_on_nothing_else() -> None:
    def digest(*words: str) -> str:
        return str(as_json(*SMALL, "shuffle=1", "rand_mirror=1", *words)["digest"])

    same = [digest(f"preprocess_threads={threads}", "prefetch_buffer=1") for threads in (1, 8)]
    others = [digest("seed=1"), digest("--epochs", "2"), digest("--max-batches", "2"), digest("--kind", "uint8")]
    assert [same[0]] * 2 == [digest(), same[1]]
    assert 5 == len({same[0], *others})
    assert digest("--epochs", "2", "--max-batches", "3") == same[0]


def test_rec_may_be_left_out_when_path_imgrec_is_given() -> None:
    expected = masked(im2rec("iterate", *SMALL).out)

    assert Ran(0, expected, "") == masked_run("path_imgrec=some.rec", "batch_size=4", "-q")
    assert Ran(0, expected, "") == masked_run("batch_size=4", "--data-shape", "(3,8,8)", "path_imgrec=some.rec", "-q")
    assert Ran(0, expected, "") == masked_run(
        "some.rec", "path_imgrec=some.rec", "data_shape=[3,8,8]", "batch_size=4", "-q"
    )


def masked_run(*words: object) -> Ran:
    done = im2rec("iterate", *words)
    return done._replace(out=masked(done.out))


def test_a_rec_with_an_equals_sign_in_its_name_is_a_rec(tmp_path: Path) -> None:
    a_rec(tmp_path, 3, "a=b.rec")
    assert 3 == as_json("a=b.rec")["images"]


def test_the_default_data_shape_is_the_shortest_side_of_sampled_images_at_most_224(tmp_path: Path) -> None:
    def shape(*contents: bytes) -> list[int]:
        write_rec(tmp_path / "a.rec", [image_payload(n, n, content) for n, content in enumerate(contents)])
        summary = as_json("a.rec", "--max-batches", "1", "on_error=skip", "--dry-run")
        return [*summary["data_shape"]]

    def sized(height: int, width: int) -> bytes:
        return encoded(texture(height, width), "PNG")

    assert [3, 224, 224] == shape(sized(230, 300))
    assert [3, 20, 20] == shape(sized(30, 40), sized(60, 20), sized(30, 30))
    assert [3, 30, 30] == shape(sized(30, 40), TEXT, b"")
    assert [3, 9, 9] == shape(*[sized(9, 9)] * 51, sized(8, 8), *[sized(9, 9)] * 148)  # record 51 is not in the sample
    assert [3, 8, 8] == shape(*[sized(9, 9)] * 199, sized(8, 8))  # the last one is in it


def test_epochs_and_max_batches_limit_what_is_delivered() -> None:
    expected = {
        ("--epochs", "3"): (3, 9, 30, 6),
        ("--max-batches", "2"): (1, 2, 8, 0),
        ("--epochs", "2", "--max-batches", "4"): (2, 4, 14, 2),
        ("--max-batches", "9"): (1, 3, 10, 2),
        ("last_batch=discard", "--epochs", "2"): (2, 4, 16, 0),
        ("last_batch=roll_over", "--epochs", "2"): (2, 5, 18, 2),  # two of the next epoch end the first
    }
    summaries = {
        words: tuple(as_json(*SMALL, *words)[key] for key in ("epochs", "batches", "images", "pad"))
        for words in expected
    }
    assert expected == summaries


KINDS = {
    "image": (ImageRecordIter, "float32"),
    "uint8": (ImageRecordUInt8Iter, "uint8"),
    "int8": (ImageRecordInt8Iter, "int8"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_gives_the_batches_of_its_iterator(tmp_path: Path, kind: str) -> None:
    iterator, dtype = KINDS[kind]
    words = ["--kind", kind, "mean_r=120", "mean_g=120", "mean_b=120"]
    done = im2rec("iterate", *SMALL, *words, "--dump", "out")
    with np.load(tmp_path / "out" / "batch_00000.npz") as dumped:
        data = dumped["data"]
    with iterator(path_imgrec="some.rec", data_shape=(3, 8, 8), batch_size=4, mean_r=120, mean_g=120, mean_b=120) as it:
        expected = it.next().data[0]

    assert (0, dtype) == (done.code, str(data.dtype))
    assert (expected == data).all()


def test_a_parameter_without_effect_gives_one_warning() -> None:
    done = im2rec("iterate", *SMALL, "--kind", "uint8", "mean_r=3", "std_r=2", "ctx=gpu")

    assert 0 == done.code
    expected = [
        "warning: ctx has no effect here",
        "warning: dtype=uint8 is not normalised: mean_r, std_r has no effect",
    ]
    assert expected == done.err.splitlines()


# Records of other kinds.


def test_label_vectors_need_no_parameter(tmp_path: Path) -> None:
    write_rec(tmp_path / "some.rec", [image_payload(n, [n, 0.5, 7], image(n)) for n in range(5)])
    done = im2rec("iterate", "some.rec", "--batch-size", "5", "--dump", "out", "-q")

    assert (0, "") == (done.code, done.err)
    with np.load(tmp_path / "out" / "batch_00000.npz") as dumped:
        assert [[n, 0.5, 7] for n in range(5)] == dumped["label"].tolist()


def test_a_set_of_faces_needs_no_parameter(tmp_path: Path) -> None:
    faces = [image_payload(n, float(n // 3), image(n)) for n in range(1, 7)]
    header, identities = image_payload(0, [7, 9], b""), [image_payload(n, [1, 3], b"") for n in (7, 8)]
    write_rec(tmp_path / "some.rec", [header, *faces, *identities])
    done = im2rec("iterate", "some.rec", "--batch-size", "3", "--dump", "out", "-q")

    assert (0, "") == (done.code, done.err)
    assert "  left out  3 records with labels and no image" in done.out.splitlines()
    with np.load(tmp_path / "out" / "batch_00001.npz") as dumped:
        assert ([4, 5, 6], [1, 1, 2]) == (dumped["index"].tolist(), dumped["label"].tolist())


def test_a_file_without_any_image_is_exit_code_4(tmp_path: Path) -> None:
    write_rec(tmp_path / "bare.rec", [image_payload(0, [7, 9], b"")])
    done = im2rec("iterate", "bare.rec", "-q")

    assert (4, "") == (done.code, done.out)
    assert done.err.startswith("im2rec: bare.rec: holds no images")


@pytest.mark.parametrize("name", ["my photos.rec", "фото 日本.rec", "it's $HOME;.rec".replace(";", ",")])
def test_names_of_any_kind_are_iterated_over(tmp_path: Path, name: str) -> None:
    a_rec(tmp_path, 10, name)
    data = as_json(name, "--batch-size", "4", "--dump", f"{name} out", "--sheet", f"{name} sheets")

    assert (name, 10) == (data["input"], data["images"])
    assert 4 == len(names_in(tmp_path / f"{name} out"))


# The examples of the manual.

MANUAL_1 = (
    "im2rec iterate path_imgrec=data/cifar/train.rec 'data_shape=(3,28,28)' batch_size=100"
    " mean_img=data/cifar/cifar10_mean.bin rand_crop=True rand_mirror=True shuffle=False"
    " preprocess_threads=4 prefetch_buffer=1"
)
MANUAL_2 = (
    "im2rec iterate path_imgrec=data/cifar/train.rec 'data_shape=(3,28,28)' batch_size=100"
    " path_imglist=data/cifar/image.lst label_width=4"
)


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    """A small data set with the paths of the manual."""
    folder = tmp_path / "data" / "cifar"
    folder.mkdir(parents=True)
    contents = [encoded(texture(32, 32, seed=n), "PNG") for n in range(120)]
    a_rec(folder, [image_payload(n, n % 10, content) for n, content in enumerate(contents)], "train.rec")
    lines = [f"{n}\t{n % 10}\t0.5\t{n}\t-1\tclass/{n}.png\n" for n in range(120)]
    (folder / "image.lst").write_text("".join(lines), encoding="utf-8")
    return folder


def test_the_first_example_of_the_manual_makes_the_mean_image_and_uses_it(cifar: Path) -> None:
    runs = [typed(MANUAL_1.removeprefix("im2rec "), "-q") for _ in range(2)]

    assert [(0, ""), (0, "")] == [(done.code, done.err) for done in runs]
    assert "  batches  2 batches of 100 x 3 x 28 x 28 float32" == runs[0].out.splitlines()[1]
    assert masked(runs[0].out) == masked(runs[1].out)
    assert ["cifar10_mean.bin", "image.lst", "train.idx", "train.rec"] == names_in(cifar)
    digests = [line for done in runs for line in done.out.splitlines() if line.startswith("  digest")]
    assert digests[0] == digests[1]  # the mean image is read as it was written


@pytest.mark.usefixtures("cifar")
def test_the_second_example_of_the_manual_takes_its_labels_from_the_list(tmp_path: Path) -> None:
    done = typed(MANUAL_2.removeprefix("im2rec "), "-q", "--dump", "out")

    assert (0, "") == (done.code, done.err)
    with np.load(tmp_path / "out" / "batch_00001.npz") as dumped:
        assert [[n % 10, 0.5, n, -1] for n in (*range(100, 120), *range(80))] == dumped["label"].tolist()


# --dump


def test_a_dump_holds_the_batches_of_the_iterator_and_a_manifest(some: Path, tmp_path: Path) -> None:
    words = ["shuffle=1", "rand_mirror=1", "brightness=0.3", "seed=4"]
    done = im2rec("iterate", *SMALL, *words, "--epochs", "2", "--dump", "new/out")
    manifest = json.loads((tmp_path / "new" / "out" / "manifest.json").read_text(encoding="utf-8"))
    batches = manifest.pop("batches")

    assert (0, "") == (done.code, done.err)
    assert "  written  new/out" == done.out.splitlines()[-1]
    names = [f"batch_{n:05}.npz" for n in range(6)]
    assert [*names, "manifest.json"] == names_in(tmp_path / "new" / "out")
    assert list(zip(names, [0, 0, 0, 1, 1, 1], [0, 0, 2] * 2, strict=True)) == [
        (batch["file"], batch["epoch"], batch["pad"]) for batch in batches
    ]
    assert 6 == len({batch["sha256"] for batch in batches})
    assert (1, 4, [3, 8, 8]) == (
        manifest["schema"],
        manifest["parameters"]["seed"],
        manifest["parameters"]["data_shape"],
    )
    assert {"python", "im2rec", "numpy", "pillow"} <= set(manifest["versions"])
    assert as_json(*SMALL, *words, "--epochs", "2")["digest"] == manifest["digest"]
    params = dict(word.split("=") for word in words)
    with in_fours(some, data_shape=(3, 8, 8), **params) as it:
        expected = [*it, *it]
    for name, batch in zip(names, expected, strict=True):
        with np.load(tmp_path / "new" / "out" / name) as dumped:
            assert {"data", "label", "index", "pad"} == set(dumped)
            assert (batch.pad, dumped["data"].dtype) == (int(dumped["pad"]), batch.data[0].dtype)
            for key, array in (("data", batch.data[0]), ("label", batch.label[0]), ("index", batch.index)):
                assert (array == dumped[key]).all()


@pytest.mark.usefixtures("cifar")
def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    done = typed(MANUAL_1.removeprefix("im2rec "), "-q", "--dry-run", "--dump", "out", "--sheet", "sheets")

    assert (0, "") == (done.code, done.err)
    assert "would iterate over 120 records of data/cifar/train.rec" == done.out.splitlines()[0]
    assert "  would write  data/cifar/cifar10_mean.bin, out, sheets" == done.out.splitlines()[-1]
    assert before == sorted(tmp_path.rglob("*"))


@pytest.mark.parametrize("option", ["--dump", "--sheet"])
def test_a_folder_that_cannot_be_written_is_an_error_of_one_line(tmp_path: Path, option: str) -> None:
    (tmp_path / "file").touch()

    refused = {
        "file": "file: is a file (name a folder)",
        "file/in": "file: is not a folder (name a folder to write to)",
    }
    for out, message in refused.items():
        assert Ran(1, "", f"im2rec: {message}\n") == im2rec("iterate", *SMALL, option, out)


@POSIX
@pytest.mark.parametrize("option", ["--dump", "--sheet"])
def test_a_read_only_folder_is_an_error_of_one_line(tmp_path: Path, option: str) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (tmp_path / "closed").mkdir(mode=0o555)
    done = im2rec("iterate", *SMALL, option, "closed/out")

    expected = "im2rec: closed/out: cannot be written: permission denied (no file exists under this name)\n"
    assert Ran(1, "", expected) == done


# --sheet


def test_a_sheet_of_each_batch_is_a_png_of_its_images(tmp_path: Path) -> None:
    words = ["mean_r=120", "mean_g=110", "mean_b=100", "scale=0.0167", "--sheet", "sheets"]
    done = im2rec("iterate", *SMALL, *words)

    assert (0, "  written  sheets") == (done.code, done.out.splitlines()[-1])
    assert [f"sheet_{n:05}.png" for n in range(3)] == names_in(tmp_path / "sheets")
    sizes = set()
    for path in (tmp_path / "sheets").iterdir():
        with Image.open(path) as sheet:
            assert "PNG" == sheet.format
            sizes.add(sheet.size)
            assert 50 < len(np.unique(np.asarray(sheet)))  # textures, not grey boxes
    assert 1 == len(sizes)


def test_the_title_of_a_sheet_has_the_parameters_as_they_can_be_typed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[list[str]] = []
    monkeypatch.setattr("im2rec.runs.outputs.draw_sheet", lambda _tiles, title: titles.append(title) or b"")
    words = ["shuffle=1", "seed=7", "rand_crop=1", "mean_r=123.5", "rand_mirror=0"]
    assert 0 == im2rec("iterate", *SMALL, *words, "--epochs", "2", "--sheet", "sheets").code

    batches = len(titles) // 2
    assert "some.rec: batch 0, epoch 0, seed 7" == titles[0][0]
    assert f"some.rec: batch {batches}, epoch 1, seed 7" == titles[batches][0]
    (line,) = {line for _, line in titles}
    assert {"shuffle=1", "rand_crop=1", "mean_r=123.5"} < set(line.split())
    assert not {"seed=7", "rand_mirror=0"} & set(line.split())
    titles.clear()
    assert 0 == im2rec("iterate", "some.rec", *line.split(), "seed=7", "--sheet", "sheets", "--force").code
    assert line == titles[0][1]

    titles.clear()
    five = ";".join(["some.rec"] * 5)
    assert 0 == im2rec("iterate", five, *SMALL[1:], "--max-batches", "1", "--sheet", "of five").code
    assert "some.rec; some.rec; some.rec and 2 more files: batch 0, epoch 0, seed 0" == titles[0][0]


def test_sheets_have_the_class_names_beside_the_list_or_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(
        "im2rec.runs.outputs.draw_sheet", lambda tiles, _title: lines.extend(tile.lines[1] for tile in tiles) or b""
    )

    def labels_of(*words: str) -> set[str]:
        lines.clear()
        assert 0 == im2rec("iterate", *SMALL, *words, "--sheet", "sheets", "--force").code
        return set(lines)

    numbers = labels_of()
    Path("some.classes.txt").write_text("ant\n")
    assert {"ant"} == labels_of() - numbers

    rows = [f"{id_}\t1\tx.jpg\n" for id_ in range(100, 110)]
    Path("other_train.lst").write_text("".join(rows))
    Path("other.classes.txt").write_text("bee\ncat\n")
    assert {"cat"} == labels_of("path_imglist=other_train.lst")


def test_joined_files_with_different_class_names_have_none() -> None:
    Path("again.rec").write_bytes(Path("some.rec").read_bytes())
    Path("some.classes.txt").write_text("ant\n")
    with ImageRecordIter(path_imgrec="some.rec;again.rec", data_shape=(3, 8, 8), batch_size=4) as it:
        assert class_names_of(it) is None
        Path("again.classes.txt").write_text("ant\n")
        names = class_names_of(it)
        assert names is not None
        assert ["ant"] == names.names


# Help and wrong words.


def test_list_params_has_every_parameter_in_80_columns() -> None:
    done = im2rec("iterate", "--list-params")
    keys = re.findall(r"^  (\w+)=", done.out, re.MULTILINE)

    assert (0, "") == (done.code, done.err)
    assert sorted(field.name for field in dataclasses.fields(ImageRecordParams)) == sorted(keys)
    assert all(len(line) <= 80 for line in done.out.splitlines())
    assert ["Dataset:", "Batch:", "Augmentation:", "Backend:", "Auxiliary:"] == [
        line for line in done.out.splitlines() if line and not line.startswith(" ")
    ]
    groups = json.loads(im2rec("iterate", "--list-params", "--json").out)["groups"]
    assert keys == [row["name"] for group in groups.values() for row in group]


def test_bare_iterate_shows_its_help_and_exits_0() -> None:
    assert im2rec("iterate", "--help") == im2rec("iterate")
    assert "--list-params" in im2rec("iterate").out


NAMES = [field.name for field in dataclasses.fields(ImageRecordParams)]
WRONG: dict[str, tuple[list[str], int, str]] = {
    "an unknown key": (["some.rec", "suffle=1"], 2, "unknown key 'suffle' (the nearest known key is 'shuffle')"),
    "a word that is a key": (["some.rec", "shuffle"], 2, "'shuffle' is not KEY=VALUE (write shuffle=VALUE)"),
    "no REC": (["shuffle=1"], 2, "REC is missing (im2rec iterate REC [KEY=VALUE]...)"),
    "an empty REC": (["path_imgrec="], 2, "path_imgrec= must name a .rec"),
    "a key given twice": (
        ["some.rec", "batch_size=3", "--batch-size", "4"],
        2,
        "batch_size is given twice: 4 and 3 (give it once)",
    ),
    "a value out of range": (
        ["some.rec", "batch_size=0"],
        2,
        "batch_size=0 must be 1 to 2147483647 (Rows of a batch.)",
    ),
    "an option out of range": (
        ["some.rec", "--batch-size", "0"],
        2,
        "batch_size=0 must be 1 to 2147483647 (Rows of a batch.)",
    ),
    "a shape of one number": (
        ["some.rec", "--data-shape", "224"],
        2,
        "data_shape=224 must be channels, height and width, each 1 or more",
    ),
    "two that exclude each other": (
        ["some.rec", "random_resized_crop=1", "rand_crop=1"],
        2,
        "random_resized_crop=1 excludes rand_crop=1 (leave one of the two out)",
    ),
    "an epoch count of 0": (
        ["some.rec", "--epochs", "0"],
        2,
        "invalid value for '--epochs': 0 must be 1 or more (see 'im2rec iterate --help')",
    ),
    "an unknown kind": (
        ["some.rec", "--kind", "float"],
        2,
        (
            "invalid value for '--kind': 'float' is not one of 'image', 'uint8', 'int8', 'mnist', 'csv', 'libsvm'"
            " (see 'im2rec iterate --help')"
        ),
    ),
    "a REC that is missing": (["no.rec"], 4, "no.rec: cannot be read: no such file or directory (check the path)"),
    "a pattern that matches no file": (["no*.rec"], 4, "no*.rec: no file has such a name (check the pattern)"),
    "a folder without a REC": (["empty"], 4, "empty: holds no *.rec (name a .rec, or a folder of them)"),
    "a REC that is not one": (
        ["text.rec"],
        4,
        "text.rec: is not a RecordIO file: it is a file of text (make or fetch it again)",
    ),
    "a name that is too long": (["x" * 300], 4, f"{'x' * 300}: cannot be read: file name too long (check the path)"),
    "a list that is missing": (
        ["some.rec", "path_imglist=no.lst"],
        4,
        "no.lst: cannot be read: no such file or directory (check the path)",
    ),
    "a list of other records": (
        ["some.rec", "path_imglist=other.lst"],
        4,
        "other.lst: has no line for id 100, which is record 0 of some.rec (is it the list of this .rec?)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_words_and_files_are_one_line_and_exit_code_2_or_4(tmp_path: Path, case: str) -> None:
    (tmp_path / "text.rec").write_bytes(b"some text")
    (tmp_path / "other.lst").write_text("1\t1\ta.png\n")
    (tmp_path / "empty").mkdir()
    words, code, message = WRONG[case]

    assert Ran(code, "", f"im2rec: {message}\n") == im2rec("iterate", *words, "-q")


def test_a_second_rec_is_answered_in_one_short_line() -> None:
    done = im2rec("iterate", "some.rec", "some.rec", "-q")

    assert (2, "") == (done.code, done.out)
    assert done.err.startswith("im2rec: 'some.rec' is not KEY=VALUE (")
    assert len(done.err) < 200


@pytest.mark.parametrize("name", ["rand_mirorr", "batchsize", "data_shap", "mean", "threads"])
def test_the_error_for_an_unknown_key_names_the_nearest_key(name: str) -> None:
    (near,) = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.0)
    expected = f"im2rec: unknown key '{name}' (the nearest known key is '{near}')\n"
    assert Ran(2, "", expected) == im2rec("iterate", "some.rec", f"{name}=1")


# Bad records and damage.


def test_skipped_and_cut_records_are_listed_and_give_exit_code_3(tmp_path: Path) -> None:
    plain = {n: encoded(pixels(n), "BMP") for n in range(10)}  # of the same size everywhere
    a_rec(tmp_path, payloads(10, bad={**plain, 2: TEXT, 5: b"", 7: TEXT, 8: TEXT, 9: CUT}))
    done = im2rec("iterate", *SMALL, "--data-shape", "3,8,8", "--epochs", "2", "on_error=skip")

    assert (3, SKIPPED) == (done.code, masked(done.out))
    skipped = f"some.rec, record 2, id 102, byte 688: {NO_IMAGE}: skipped"
    cut = "some.rec, record 9, id 109, byte 1908: the image data ends early: decoded as far as it goes"
    assert [f"warning: {line}; further ones are only counted" for line in (skipped, cut)] == done.err.splitlines()
    data = json.loads(im2rec("iterate", *SMALL, "--data-shape", "3,8,8", "on_error=skip", "--json").out)
    assert (4, 1) == (len(data["skipped"]), len(data["truncated"]))


def test_a_bad_image_ends_the_run_with_one_line_that_names_on_error_skip(tmp_path: Path) -> None:
    records = payloads(10, bad={5: TEXT})
    a_rec(tmp_path, records)
    done = im2rec("iterate", *SMALL)

    assert (1, "") == (done.code, done.out)
    assert 1 == done.err.count("\n")
    assert done.err.startswith(f"im2rec: some.rec, record 5, id 105, byte {bounds(records)[5]}: {NO_IMAGE}")
    assert "on_error=skip" in done.err


def damaged_rec(folder: Path) -> str:
    """Write a file of 200 records whose sixth has a wrong magic, and return the start of the message of its error."""
    rec = a_rec(folder, 200)
    data, at = bytearray(rec.read_bytes()), bounds(payloads(200))[5]
    data[at] ^= 1
    rec.write_bytes(data)
    return f"some.rec, record 5, byte {at}: "


@pytest.mark.parametrize("index", [True, False], ids=["index", "no index"])
def test_damage_is_exit_code_5_and_one_line(tmp_path: Path, index: bool) -> None:
    message = damaged_rec(tmp_path)
    if not index:
        (tmp_path / "some.idx").unlink()
    done = im2rec("iterate", *SMALL)

    assert (5, "", 1) == (done.code, done.out, done.err.count("\n"))
    assert done.err.startswith(f"im2rec: {message}")
    assert "expected the magic 0a 23 d7 ce, found 0b 23 d7 ce" in done.err
    assert done.err.endswith("; on_error=skip skips and counts such records)\n")


def test_skipped_damage_is_exit_code_5(tmp_path: Path) -> None:
    message = damaged_rec(tmp_path)
    done = im2rec("iterate", *SMALL, "on_error=skip")

    assert 5 == done.code
    assert "  images   199, and 1 of filler" == done.out.splitlines()[2]
    assert done.err.startswith(f"warning: {message}")
    assert done.err.endswith(": skipped; further ones are only counted\n")


# Pipes and signals.


@POSIX
def test_a_closed_pipe_ends_the_run_quietly_with_exit_code_0() -> None:
    for words in (SMALL, ["--list-params"]):
        read, write = os.pipe()
        os.close(read)
        line = [sys.executable, "-m", "im2rec", "iterate", *words]
        done = subprocess.run(line, stdout=write, stderr=subprocess.PIPE)
        os.close(write)
        assert (0, b"") == (done.returncode, done.stderr)


def test_the_program_prints_the_same_as_the_command_in_this_process() -> None:
    ran = command("iterate", *SMALL)

    assert Ran(0, PLAIN, "") == ran._replace(out=masked(ran.out))
    assert "is not KEY=VALUE" in command("iterate", "some.rec", "x").err


def test_the_command_prints_the_messages_of_the_library(some: Path) -> None:
    message = message_of(in_fours, some, num_parts=2, part_index=2)

    assert "part_index=2 must be 0 to 1 with num_parts=2" == message
    assert Ran(2, "", f"im2rec: {message}\n") == im2rec("iterate", *SMALL, "num_parts=2", "part_index=2")
    with in_fours(some, num_parts=2, part_index=1) as it:
        assert [[105, 106, 107, 108], [109]] == epoch(it)
