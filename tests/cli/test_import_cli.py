"""``im2rec import`` from the command line: output, exit codes, and MXNet's own examples with the files it writes."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from pathlib import Path

import numpy as np
import pytest
from dataset_helpers import (
    DIGITS,
    MNIST_FILES,
    PYTHON10,
    PYTHON100,
    ROWS10,
    gzipped,
    pixels_of_rows,
    python2_pickle,
    tarred,
    write_files,
)
from image_helpers import im2rec, names_in, records_of, typed

from im2rec import ImageRecordIter
from im2rec.datasets.sets import SETS, KnownSet, RemoteFile

pytestmark = pytest.mark.usefixtures("cache")

COUNTS = """\
warning: the train split holds 25 images, that of the published set 50,000
warning: the test split holds 4 images, that of the published set 10,000
"""
TABLE = """\
imported 29 images of CIFAR-10
  from       cifar-10-python.tar.gz, Python version
  images     25 train, 4 test
  classes    10
  stored as  .png, engine ENGINE
  bytes      BYTES
  time       TIME
  written    data/cifar/: train.rec, train.idx, image.lst, test.rec, test.idx,
             test.lst, train.classes.txt, test.classes.txt, classes.txt
next: im2rec inspect data/cifar/train.rec
"""
DRY = """\
would import 17 images of MNIST
  from         raw, IDX files
  images       12 train, 5 test
  classes      10
  stored as    .png
  would write  out/: train.rec, train.idx, train.lst, test.rec, test.idx,
               test.lst, classes.txt
next: im2rec import mnist out --from raw
"""
DRY_BINARY = """\
would import 60,000 images of CIFAR-10
  would fetch  cifar-10-binary.tar.gz
  images       50,000 train, 10,000 test
  stored as    .png
  would write  out/: train.rec, train.idx, image.lst, test.rec, test.idx,
               test.lst, train.classes.txt, test.classes.txt, classes.txt
next: im2rec import cifar10 out --download version=binary
"""
DRY_DOWNLOAD = """\
would import 70,000 images of MNIST
  would fetch  train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz,
               t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz
  images       60,000 train, 10,000 test
  stored as    .jpg
  would write  out/: train.rec, train.idx, train.lst, test.rec, test.idx,
               test.lst, classes.txt
next: im2rec import mnist out --download encoding=.jpg
"""


@pytest.fixture(autouse=True)
def here(here: Path) -> Path:
    """A current directory with CIFAR's archives and MNIST's files."""
    write_files(here / "raw", {f"{name}.gz": gzipped(data) for name, data in MNIST_FILES.items()})
    write_files(here, {"cifar-10-python.tar.gz": tarred(PYTHON10), "cifar-100-python.tar.gz": tarred(PYTHON100)})
    return here


def without_numbers(text: str) -> str:
    """*text* without the numbers and names that differ from run to run."""
    lines = []
    for line in text.splitlines():
        name = line.split()[0]
        at = {"bytes": 13, "time": 13, "stored": line.find("engine ") + 7}.get(name, -1)
        if at > 0 and (name != "stored" or "engine " in line):
            line = line[:at] + (name.upper() if name != "stored" else "ENGINE")  # noqa: PLW2901
        lines.append(line)
    return "\n".join(lines) + "\n"


def test_bare_import_shows_the_sets_the_keys_and_an_example() -> None:
    code, out, err = im2rec("import")

    assert (0, "") == (code, err)
    assert max(map(len, out.splitlines())) <= 80
    keys = ("encoding=.png", "quality=95", "version=python", "label=fine")
    for expected in (*SETS, "60,000 and 10,000", "170 MB", *keys):
        assert expected in out
    assert out.endswith("Example:\n  im2rec import cifar10 data/cifar --download\n")


def test_the_summary_is_a_table_and_the_next_command() -> None:
    code, out, err = typed("import cifar10 data/cifar --from cifar-10-python.tar.gz")

    assert (0, TABLE, COUNTS) == (code, without_numbers(out), err)
    assert max(map(len, out.splitlines())) <= 80
    assert 0 == im2rec(*shlex.split(out.splitlines()[-1].removeprefix("next: "))[1:]).code


@pytest.mark.parametrize("source", [".", "cifar-10-python.tar.gz"])
def test_the_examples_of_mxnets_manual_run_unchanged(source: str) -> None:
    assert 0 == im2rec("import", "cifar10", "data/cifar", "--from", source).code
    # fmt: off
    with ImageRecordIter(path_imgrec="data/cifar/train.rec", data_shape="(3,28,28)", batch_size="100", mean_img="data/cifar/cifar10_mean.bin", rand_crop="True", rand_mirror="True", shuffle="False", preprocess_threads="4", prefetch_buffer="1") as it:  # noqa: E501
        (batch,) = list(it)
    assert (100, 3, 28, 28) == batch.data[0].shape
    assert (100,) == batch.label[0].shape
    assert 75 == batch.pad
    with ImageRecordIter(path_imgrec="data/cifar/train.rec", data_shape="(3,28,28)", path_imglist="data/cifar/image.lst", label_width="4", batch_size="25") as it:  # noqa: E501
        (batch,) = list(it)
    # fmt: on
    labels = [
        [ROWS10[name][1][row], b, row, 0]
        for b, name in enumerate(list(ROWS10)[:5])
        for row in range(len(ROWS10[name][0]))
    ]
    assert labels == batch.label[0].tolist()
    assert list(range(25)) == batch.index.tolist()


def test_imported_records_have_the_pixels_of_the_source() -> None:
    assert 0 == im2rec("import", "cifar10", "c", "--from", ".").code
    assert 0 == im2rec("import", "mnist", "m", "--from", "raw").code
    with ImageRecordIter(path_imgrec="c/test.rec", data_shape="3,32,32", batch_size=4) as it:
        assert np.array_equal(pixels_of_rows(ROWS10["test_batch"][0]).transpose(0, 3, 1, 2), next(it).data[0])
    with ImageRecordIter(path_imgrec="m/test.rec", data_shape="1,28,28", batch_size=5) as it:
        batch = next(it)
    assert np.array_equal(DIGITS["t10k"][0][:, None], batch.data[0])
    assert [0, 1, 2, 3, 4] == batch.label[0].tolist()


def test_parameters_set_how_images_are_stored() -> None:
    assert 0 == typed("import cifar100 out --from cifar-100-python.tar.gz label=both encoding=jpg quality=80").code
    records = records_of(Path("out/train.rec"))

    assert {b"\xff\xd8\xff"} == {record.content[:3] for record in records}
    assert {2} == {record.header.flag for record in records}
    assert "coarse_classes.txt" in names_in(Path("out"))


def test_the_other_commands_find_the_names_of_the_labels() -> None:
    assert 0 == typed("import cifar100 out --from cifar-100-python.tar.gz label=coarse").code
    shown = im2rec("inspect", "out/train.rec").out

    assert "rarest coarse_" in shown


def test_digits_do_not_get_the_names_of_another_set() -> None:
    assert 0 == im2rec("import", "cifar10", "out", "--from", "cifar-10-python.tar.gz").code
    for name in ("train.rec", "train.idx", "test.rec", "test.idx", "test.lst", "image.lst", "classes.txt"):
        Path("out", name).unlink()
    line = ("import", "mnist", "out", "--from", "raw")
    refused = im2rec(*line)
    assert (1, True) == (refused.code, "train.classes.txt: exists already" in refused.err)

    assert 0 == im2rec(*line, "--force").code
    assert [] == sorted(Path("out").glob("*.classes.txt"))


def test_the_files_of_mnist_can_be_named_individually() -> None:
    stems = ("raw/train-images-idx3", "raw/train-labels-idx1", "raw/t10k-images-idx3", "raw/t10k-labels-idx1")
    images, labels, test_images, test_labels = (f"{stem}-ubyte.gz" for stem in stems)
    assert 0 == im2rec("import", "mnist", "a", "--images", images, "--labels", labels).code
    both = ["--images", images, "--labels", labels, "--test-images", test_images, "--test-labels", test_labels]
    assert 0 == im2rec("import", "mnist", "b", *both).code

    assert ["classes.txt", "train.idx", "train.lst", "train.rec"] == names_in(Path("a"))
    assert 7 == len(names_in(Path("b")))
    assert Path("a/train.rec").read_bytes() == Path("b/train.rec").read_bytes()


def test_a_dry_run_writes_and_fetches_nothing(here: Path) -> None:
    before = names_in(here)
    local = typed("import mnist out --from raw --dry-run")
    fetched = typed("import mnist out --download --dry-run encoding=.jpg")

    assert (0, DRY) == (local.code, local.out)
    assert (0, DRY_DOWNLOAD, "") == tuple(fetched)
    assert (0, DRY_BINARY, "") == tuple(typed("import cifar10 out --download --dry-run version=binary"))
    assert before == names_in(here)


def test_json_is_one_object(here: Path) -> None:
    code, out, _ = typed("import cifar10 out --from . --json")
    data = json.loads(out)

    assert 0 == code
    assert 1 == out.count("\n")
    assert (2, "import", "cifar10") == (data["schema"], data["command"], data["name"])
    assert {"train": 25, "test": 4} == data["splits"]
    assert 29 == data["images"]
    assert 10 == data["classes"]
    assert not data["dry_run"]
    assert {Path(name).name for name in data["files"]} == set(names_in(here / "out"))


@pytest.mark.usefixtures("progress_at_once")
def test_progress_is_printed_on_stderr_and_not_with_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("im2rec.datasets.importing._REPORT_EVERY", 10)

    done = typed("import cifar10 a --from .").err
    assert "importing: 20 images (68%), " in done
    assert "importing: 29 images (100%), " in done
    assert COUNTS == typed("import cifar10 b --from . --quiet").err


# Downloads.


@pytest.fixture
def published(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the file of a small CIFAR-10, which replaces the published one; its server is unreachable."""
    server = here / "server"
    write_files(server, {"small.tar.gz": (here / "cifar-10-python.tar.gz").read_bytes()})
    content = (server / "small.tar.gz").read_bytes()
    file = RemoteFile("small.tar.gz", len(content), hashlib.md5(content).hexdigest())
    monkeypatch.setitem(SETS, "cifar10", KnownSet("CIFAR-10", "http://127.0.0.1:9/", (file,), {"train": 25, "test": 4}))
    return server


def test_a_set_in_the_cache_is_imported_without_a_network(here: Path, published: Path) -> None:
    write_files(here / "cache" / "cifar10", {"small.tar.gz": (published / "small.tar.gz").read_bytes()})
    code, out, err = typed("import cifar10 data/cifar --download")

    assert (0, "") == (code, err)
    assert "fetched" not in out
    assert 9 == len(names_in(here / "data" / "cifar"))


@pytest.mark.usefixtures("published", "no_proxy")
def test_an_unreachable_network_is_an_error_of_one_line_with_exit_code_4(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("im2rec.datasets.download.MAX_FRUITLESS", 1)  # without the pauses
    code, out, err = typed("import cifar10 out --download --mirror http://127.0.0.1:9/x/")

    assert (4, "", 1) == (code, out, err.count("\n"))
    assert err.startswith("im2rec: http://127.0.0.1:9/x/small.tar.gz: cannot be fetched: ")
    assert not (here / "out").exists()


@pytest.mark.usefixtures("published")
def test_a_cache_that_cannot_be_written_is_replaced_by_its_variable(here: Path) -> None:
    (here / "cache").write_bytes(b"no folder")
    code, out, err = typed("import cifar10 out --download")

    assert (1, "", 1) == (code, out, err.count("\n"))
    assert err.startswith(f"im2rec: {here / 'cache' / 'cifar10' / 'small.tar.gz'}: cannot be written: ")
    assert err.endswith(" (set IM2REC_CACHE to a folder with room that you may write to)\n")


@pytest.mark.parametrize("words", [[], ["--dry-run"]])
def test_without_a_cache_nothing_is_downloaded(here: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.setenv("IM2REC_CACHE", "off")
    hint = "(set IM2REC_CACHE to a folder for the download, or name files with --from)"
    expected = f"im2rec: no cache folder: IM2REC_CACHE is off {hint}\n"
    assert (1, "", expected) == im2rec("import", "cifar10", "out", "--download", *words)
    assert not {"cache", "off", "out"} & set(names_in(here))


@pytest.mark.usefixtures("published")
def test_an_existing_output_is_refused_before_any_download(here: Path) -> None:
    write_files(here / "out", {"train.rec": b"mine"})
    code, _, err = typed("import cifar10 out --download")

    assert 1 == code
    assert f"im2rec: {Path('out/train.rec')}: exists already" == err.partition(" (")[0]
    assert not (here / "cache").exists()


# Errors.

ONE = "expected one of --from or --download (im2rec import cifar10 out --download)"
ARCHIVE = "(name its folder, or its archive cifar-10-python.tar.gz)"
THE_OTHER = "(download version=python, or read the binary files with --from)"
NOT_READ = "which no set of images needs, and is not read (do not trust this file)"
LABELS = Path("damaged/t10k-labels-idx1-ubyte")
ERRORS: dict[str, tuple[str, int, str]] = {
    "no such set": (
        "import cifar out --download",
        2,
        "invalid value for 'SET': 'cifar' is not one of 'mnist', 'cifar10', 'cifar100' (see 'im2rec import --help')",
    ),
    "no OUT_DIR": ("import mnist --download", 2, "missing argument 'OUT_DIR' (see 'im2rec import --help')"),
    "a key for OUT_DIR": (
        "import mnist quality=9 --from raw",
        2,
        "OUT_DIR is missing before quality=9 (see 'im2rec import --help')",
    ),
    "no source": ("import cifar10 out", 2, ONE),
    "two sources": ("import cifar10 out --download --from .", 2, ONE),
    "files of cifar": (
        "import cifar10 out --images a --labels b",
        2,
        "--images and --labels are for mnist (give --from or --download)",
    ),
    "half a pair": ("import mnist out --images a", 2, "--images and --labels go together (give both)"),
    "half of the others": (
        "import mnist out --images a --labels b --test-labels c",
        2,
        "--test-images and --test-labels go together (give both)",
    ),
    "tests alone": (
        "import mnist out --test-images a --test-labels b",
        2,
        "--test-images needs --images and --labels (give all four)",
    ),
    "a mirror of nothing": (
        "import mnist out --from raw --mirror http://x",
        2,
        "--mirror is for --download (add --download)",
    ),
    "a mirror that is none": (
        "import mnist out --download --mirror ftp://x",
        2,
        "--mirror ftp://x: must start with http:// or https://",
    ),
    "no such key": (
        "import mnist out --from raw label=fine",
        2,
        "unknown key 'label' (the nearest known key is 'quality')",
    ),
    "a wrong key": (
        "import mnist out --from raw encoding=.bmp",
        2,
        "encoding=.bmp must be .png or .jpg (Format of the stored images.)",
    ),
    "a version of mnist": (
        "import mnist out --download version=binary",
        2,
        "unknown key 'version' (the nearest known key is 'encoding')",
    ),
    "no such version": (
        "import cifar10 out --download version=matlab",
        2,
        "version=matlab must be python or binary (cifar10: the version --download fetches.)",
    ),
    "a version that is not fetched": (
        "import cifar100 out --download version=binary",
        2,
        f"version=binary: only the Python version of CIFAR-100 can be downloaded {THE_OTHER}",
    ),
    "a version that is there": (
        "import cifar10 out --from . version=binary",
        2,
        "version=binary is for --download (--from reads either version)",
    ),
    "no such place": (
        "import mnist out --from no",
        4,
        "no: cannot be read: no such file or directory (check the path)",
    ),
    "no such file": (
        "import mnist out --images no --labels no",
        4,
        "no: cannot be read: no such file or directory (check the path)",
    ),
    "another set": (
        "import cifar10 out --from cifar-100-python.tar.gz",
        4,
        f"cifar-100-python.tar.gz: holds no CIFAR-10: no data_batch_1 or data_batch_1.bin {ARCHIVE}",
    ),
    "a file as OUT_DIR": (
        "import mnist cifar-10-python.tar.gz --from raw",
        1,
        "cifar-10-python.tar.gz: is not a folder (name a folder to write to)",
    ),
    "hostile": (
        "import cifar10 out --from hostile",
        4,
        f"hostile/data_batch_1: the pickle names {os.system.__module__}.system, {NOT_READ}",
    ),
    "damaged": (
        "import mnist out --from damaged",
        4,
        f"{LABELS}: expected 5 bytes of labels after the header, found 4 (make or fetch the file again)",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_one_line_and_the_right_code(here: Path, case: str) -> None:
    hostile = b"\x80\x02c" + os.system.__module__.encode() + b"\nsystem\n(U\x09touch runtR."
    write_files(here / "hostile", PYTHON10 | {"data_batch_1": hostile, "x": python2_pickle({})})
    write_files(here / "damaged", MNIST_FILES | {"t10k-labels-idx1-ubyte": MNIST_FILES["t10k-labels-idx1-ubyte"][:-1]})
    before = names_in(here)
    line, code, message = ERRORS[case]
    done = typed(line)

    assert (code, "", f"im2rec: {message}\n") == (done.code, done.out, done.err)
    assert before == names_in(here)


def test_force_replaces_the_files_that_were_refused(here: Path) -> None:
    line = "import mnist out --from raw --quiet"
    assert 0 == typed(line).code
    before = {name: (here / "out" / name).read_bytes() for name in names_in(here / "out")}
    refused = typed(line)

    assert 1 == refused.code
    assert refused.err.endswith("exists already (replace it with --force, or choose another name)\n")
    assert 0 == typed(line, "--force").code
    assert before == {name: (here / "out" / name).read_bytes() for name in names_in(here / "out")}


def test_an_error_has_a_traceback_on_request() -> None:
    done = typed("import mnist out --from no --debug")
    assert 4 == done.code
    assert "Traceback" in done.err
