"""Published sets: each published form is read alike, import writes it, and damaged or hostile files are refused."""

from __future__ import annotations

import contextlib
import copyreg
import io
import json
import os
import pickle
import random
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_helpers import (
    BINARY10,
    BINARY100,
    COARSE,
    DIGITS,
    FINE,
    MNIST_FILES,
    NAMES10,
    PYTHON10,
    PYTHON100,
    ROWS10,
    ROWS100,
    gzipped,
    idx_images,
    idx_labels,
    pixels_of_rows,
    python2_pickle,
    tarred,
    write_files,
)
from helpers import message_of, peak_bytes
from image_helpers import names_in, pixels_of, records_of

from im2rec.datasets import archives, pickles
from im2rec.datasets.cifar import read_cifar
from im2rec.datasets.importing import import_set
from im2rec.datasets.mnist import MnistPair, find_mnist, read_mnist
from im2rec.datasets.pickles import load_pickle
from im2rec.datasets.sets import Cifar100Params, Dataset, ImportParams
from im2rec.errors import IdxFormatError, InputError, OutputError, ParameterError
from im2rec.format.listfile import read_list
from im2rec.storage.classes import read_classes
from im2rec.storage.output import AtomicFile
from im2rec.storage.reader import RecordFile

AGAIN = " (make or fetch it again)"


# MNIST.


def spelled(sign: str, suffix: str) -> dict[str, bytes]:
    """The files of MNIST under one of the spellings of their names."""
    return {
        name.replace("-idx", f"{sign}idx") + suffix: gzipped(data) if suffix else data
        for name, data in MNIST_FILES.items()
    }


@pytest.mark.parametrize("inner", ["", "raw", "MNIST/raw"])
@pytest.mark.parametrize(("sign", "suffix"), [("-", ""), ("-", ".gz"), (".", ""), (".", ".gz")])
def test_mnist_is_found_under_every_spelling(tmp_path: Path, inner: str, sign: str, suffix: str) -> None:
    write_files(tmp_path / inner, spelled(sign, suffix))
    dataset = read_mnist(find_mnist(tmp_path))

    assert {"train": 12, "test": 5} == dataset.images()
    assert list("0123456789") == dataset.classes
    for split, stem in (("train", "train"), ("test", "t10k")):
        (batch,) = dataset.splits[split]
        assert DIGITS[stem][0][..., None].tolist() == batch.pixels.tolist()
        assert DIGITS[stem][1][:, None].tolist() == batch.labels.tolist()


def test_a_missing_or_wrong_file_of_mnist_is_named(tmp_path: Path) -> None:
    write_files(tmp_path, spelled("-", ""))
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    lacking = f"{tmp_path}: holds no t10k-labels-idx1-ubyte, nor t10k-labels-idx1-ubyte.gz (name it with --images)"
    assert lacking == message_of(find_mnist, tmp_path)

    labels = tmp_path / "t10k-labels-idx1-ubyte"
    images = tmp_path / "t10k-images-idx3-ubyte"
    for content, expected in {
        idx_labels(np.arange(4)): f"{labels}: expected 5 labels, one for each image of {images}, found 4",
        idx_labels(np.array([1, 2, 10, 4, 5])): f"{labels}: expected a digit of 0 to 9 in row 2, found 10",
        MNIST_FILES[images.name]: f"{labels}: expected the magic 2049 of labels, found the magic of images "
        "(the files of images and labels are swapped)",
        gzipped(b"")[:9]: f"{labels}: the gzip file is cut short (make or fetch the file again)",
    }.items():
        labels.write_bytes(content)
        assert expected == message_of(read_mnist, {"test": MnistPair(images, labels)})


def test_a_damaged_file_of_mnist_is_an_idx_format_error(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"text")
    with pytest.raises(IdxFormatError) as caught:
        read_mnist({"train": MnistPair(path, path)})
    assert path == caught.value.path


# CIFAR.

SHAPES: dict[str, tuple[str, dict[str, bytes], str]] = {
    "cifar10 python": ("cifar10", PYTHON10, "Python version"),
    "cifar10 binary": ("cifar10", BINARY10, "binary version"),
    "cifar100 python": ("cifar100", PYTHON100, "Python version"),
    "cifar100 binary": ("cifar100", BINARY100, "binary version"),
}
USUAL = {
    "cifar10 python": ("cifar-10-batches-py", "cifar-10-python.tar.gz"),
    "cifar10 binary": ("cifar-10-batches-bin", "cifar-10-binary.tar.gz"),
    "cifar100 python": ("cifar-100-python", "cifar-100-python.tar.gz"),
    "cifar100 binary": ("cifar-100-binary", "cifar-100-binary.tar.gz"),
}


def check_cifar(dataset: Dataset, name: str) -> None:
    """Check every pixel, label and class name of *dataset*."""
    rows = ROWS10 if name == "cifar10" else ROWS100
    batches = [batch for batches in dataset.splits.values() for batch in batches]
    for (pixels, labels), (expected, fine, coarse) in zip(batches, rows.values(), strict=True):
        assert np.array_equal(pixels_of_rows(expected), pixels)
        both = [fine] if name == "cifar10" else [fine, coarse]
        assert list(map(list, zip(*both, strict=True))) == labels.tolist()
    names = (NAMES10, []) if name == "cifar10" else (FINE, COARSE)
    assert names == (dataset.classes, dataset.coarse_classes)


@pytest.mark.parametrize("shape", SHAPES)
def test_cifar_is_read_from_folder_tar_and_gzipped_tar_and_from_the_folder_above(tmp_path: Path, shape: str) -> None:
    name, files, version = SHAPES[shape]
    folder, archive = USUAL[shape]
    write_files(tmp_path / "above" / folder, files)
    write_files(tmp_path / "archives", {archive: tarred(files), "a.tar": tarred(files, mode="w:")})
    for source in ("above", f"above/{folder}", "archives", f"archives/{archive}", "archives/a.tar"):
        dataset = read_cifar(name, tmp_path / source)
        assert version == dataset.version
        check_cifar(dataset, name)


def repickled(protocol: int, version: str) -> dict[str, bytes]:
    """CIFAR-10 as pickled by Python 3, with numpy before or after 2.0."""
    old, new = (b"numpy.core", b"numpy._core") if version == "1" else (b"numpy._core", b"numpy.core")
    other = {old: new}
    files = {}
    for name, (rows, labels, _) in ROWS10.items():
        data = pickle.dumps({"data": rows, "labels": labels, b"x": (None, True, 1 << 70, -5)}, protocol)
        if protocol < 4:  # names of later ones have their length before them
            data = data.replace(*next(iter(other.items())))
        files[name] = data
    return files | {"batches.meta": pickle.dumps({"label_names": NAMES10}, protocol)}


@pytest.mark.parametrize("numpy_version", ["1", "2"])
@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_every_protocol_are_read(tmp_path: Path, protocol: int, numpy_version: str) -> None:
    check_cifar(read_cifar("cifar10", write_files(tmp_path, repickled(protocol, numpy_version))), "cifar10")


def test_cifar_10_without_its_file_of_names_has_the_published_class_names(tmp_path: Path) -> None:
    write_files(tmp_path, {name: data for name, data in PYTHON10.items() if name != "batches.meta"})
    assert NAMES10 == read_cifar("cifar10", tmp_path).classes


def test_missing_files_of_cifar_are_named(tmp_path: Path) -> None:
    write_files(tmp_path / "some", {name: data for name, data in BINARY10.items() if "4" not in name})
    write_files(tmp_path / "other", {"train": PYTHON100["train"], "test": PYTHON100["test"]})
    here = {name: message_of(read_cifar, *words) for name, words in {
        "file": ("cifar10", tmp_path / "some"),
        "names": ("cifar100", tmp_path / "other"),
        "all": ("cifar10", tmp_path / "other"),
        "nothing": ("cifar10", tmp_path / "no"),
    }.items()}  # fmt: skip

    assert here == {
        "file": f"{tmp_path / 'some'}: lacks data_batch_4.bin{AGAIN}",
        "names": f"{tmp_path / 'other'}: lacks meta{AGAIN}",
        "all": f"{tmp_path / 'other'}: holds no CIFAR-10: no data_batch_1 or data_batch_1.bin "
        "(name its folder, or its archive cifar-10-python.tar.gz)",
        "nothing": f"{tmp_path / 'no'}: cannot be read: no such file or directory (check the path)",
    }


ROWS = ROWS10["test_batch"][0]
WRONG_BATCHES: dict[str, tuple[Any, str]] = {
    "no dictionary": ([1], "expected a dictionary, found a list" + AGAIN),
    "no data": ({"labels": [1]}, "expected data, a ndarray, found none" + AGAIN),
    "text": ({"data": "text", "labels": [1]}, "expected data, a ndarray, found a bytes" + AGAIN),
    "narrow": ({"data": ROWS[:, :3071], "labels": [0] * 4}, "expected data of count x 3072, found 4 x 3071" + AGAIN),
    "empty": ({"data": ROWS[:0], "labels": []}, "expected data of count x 3072, found 0 x 3072" + AGAIN),
    "no labels": ({"data": ROWS}, "expected labels, a list, found none" + AGAIN),
    "few labels": ({"data": ROWS, "labels": [1, 2, 3]}, "expected 4 labels of 0 to 255, one for each image" + AGAIN),
    "no numbers": ({"data": ROWS, "labels": ["1"] * 4}, "expected 4 labels of 0 to 255, one for each image" + AGAIN),
    "large": ({"data": ROWS, "labels": [1, 2, 3, 256]}, "expected 4 labels of 0 to 255, one for each image" + AGAIN),
    "no class": ({"data": ROWS, "labels": [1, 2, 3, 10]}, "expected a label of 0 to 9 in row 3, found 10"),
}


@pytest.mark.parametrize("case", WRONG_BATCHES)
def test_a_batch_of_another_shape_is_refused(tmp_path: Path, case: str) -> None:
    value, expected = WRONG_BATCHES[case]
    write_files(tmp_path, PYTHON10 | {"test_batch": python2_pickle(value)})

    assert f"{tmp_path / 'test_batch'}: {expected}" == message_of(read_cifar, "cifar10", tmp_path)
    archive = tmp_path / "a.tar"
    archive.write_bytes(tarred(PYTHON10 | {"test_batch": python2_pickle(value)}, mode="w:"))
    assert f"{archive}: test_batch: {expected}" == message_of(read_cifar, "cifar10", archive)


def test_class_names_must_be_distinct_single_lines_and_one_for_each_class(tmp_path: Path) -> None:
    wrong = {
        "few": NAMES10[:9],
        "twice": [*NAMES10[:9], "cat"],
        "two lines": [*NAMES10[:9], "a\nb"],
        "no text": [*NAMES10[:9], 5],
        "empty": [*NAMES10[:9], ""],
    }
    for names in wrong.values():
        write_files(tmp_path, PYTHON10 | {"batches.meta": python2_pickle({"label_names": names})})
        expected = f"{tmp_path / 'batches.meta'}: expected 10 different class names{AGAIN}"
        assert expected == message_of(read_cifar, "cifar10", tmp_path)


@pytest.mark.parametrize("size", [0, 1, 3072, 3074, 2 * 3073 - 1])
def test_a_binary_file_that_is_not_a_whole_number_of_records_is_refused(tmp_path: Path, size: int) -> None:
    write_files(tmp_path, BINARY10 | {"data_batch_2.bin": bytes(size)})
    expected = f"{tmp_path / 'data_batch_2.bin'}: expected records of 3073 bytes, found {size} bytes"
    assert f"{expected} (the file was cut short; make or fetch it again)" == message_of(read_cifar, "cifar10", tmp_path)


def test_a_label_beyond_the_classes_in_a_binary_file_is_refused(tmp_path: Path) -> None:
    write_files(tmp_path, BINARY100 | {"test.bin": bytes([19, 99]) + bytes(3072) + bytes([20, 0]) + bytes(3072)})
    expected = f"{tmp_path / 'test.bin'}: expected a label of 0 to 19 in row 1, found 20"
    assert expected == message_of(read_cifar, "cifar100", tmp_path)


# Damaged and hostile pickles.


class Hostile:
    """An object that runs a command when it is unpickled."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.call = call
        self.arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call, self.arguments


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_run_a_command_is_refused_and_the_error_gives_the_name(
    tmp_path: Path, protocol: int
) -> None:
    mark = tmp_path / "run"
    content = pickle.dumps({"data": Hostile(os.system, f"touch {mark}")}, protocol)
    write_files(tmp_path / "set", PYTHON10 | {"data_batch_3": content})
    message = message_of(read_cifar, "cifar10", tmp_path / "set")

    assert f"the pickle names {os.system.__module__}.system, which no set of images needs, and is not read" in message
    assert message.startswith(f"{tmp_path / 'set' / 'data_batch_3'}: ")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (eval, ("1",)),
        (np.load, ("x",)),
        (np.ndarray, ((1 << 40,), "b")),
        (np.dtype, ("O",)),
        (np.frombuffer, (b"x",)),
        (bytearray, (1 << 40,)),
        (getattr, ("numpy", "load")),
    ],
)
def test_nothing_is_called_that_a_pickle_names(call: Any, arguments: tuple[Any, ...]) -> None:
    for protocol in range(6):
        message = message_of(load_pickle, pickle.dumps(Hostile(call, *arguments), protocol))
        assert message.startswith(("the pickle names ", "is not a complete pickle", "expected an array of bytes"))


DAMAGED = "is not a complete pickle of plain data and uint8 arrays (make or fetch the file again)"


@pytest.mark.parametrize(
    ("module", "name", "shown"),
    [
        ("a\nb", "c\x1b[2J", r"a\nb.c\x1b[2J"),
        ("m" * 1000, "n" * 1000, f"{'m' * 80}.{'n' * 80}"),
        ("numpy", "core.multiarray", "numpy.core.multiarray"),
        ("numpy.core", "multiarray", "numpy.core.multiarray"),
        ("im2rec.datasets.archives", "_Array", "im2rec.datasets.archives._Array"),
        ("", "\ud800", r".\ud800"),
    ],
)
def test_a_refused_name_is_shown_on_one_short_line(module: str, name: str, shown: str) -> None:
    words = (word.encode("utf-8", "surrogatepass") for word in (module, name))
    content = b"\x80\4" + b"".join(b"X" + len(word).to_bytes(4, "little") + word for word in words) + b"\x93."
    expected = f"the pickle names {shown}, which no set of images needs, and is not read (do not trust this file)"
    assert expected == message_of(load_pickle, content)


def test_an_extension_code_in_place_of_a_name_is_refused() -> None:
    assert DAMAGED == message_of(load_pickle, b"\x80\2\x82\xf0)R.")
    copyreg.add_extension(os.system.__module__, "system", 0xF0)
    try:
        assert DAMAGED == message_of(load_pickle, b"\x80\2\x82\xf0)R.")
    finally:
        copyreg.remove_extension(os.system.__module__, "system", 0xF0)


DTYPE = b"cnumpy\ndtype\nU\2u1K\0K\1\x87R"
EMPTY = b"cnumpy.core.multiarray\n_reconstruct\n)R"
FROM_BUFFER = b"cnumpy.core.numeric\n_frombuffer\n"
ODD_PICKLES = {
    "nothing": b"",
    "text": b"some text",
    "no end": b"\x80\x02}",
    "an empty stack": b"\x80\x02.",
    "more bytes than any memory has": b"\x8e" + b"\xff" * 7 + b"\0",
    "no mark": b"]e.",
    "a mark is no value": b"(.",
    "no such memo": b"h\x07.",
    "an append to nothing": b"}K\1a.",
    "half an item": b"}(K\1u.",
    "a list as a key": b"}]K\1s.",
    "a name alone": b"cnumpy\nndarray\n.",
    "a name in a dictionary": b"}U\4datacnumpy\nndarray\ns.",
    "a type alone": DTYPE + b".",
    "a call of a number": b"K\1)R.",
    "a call of an array's class": b"cnumpy\nndarray\n)R.",
    "a type without a name": b"cnumpy\ndtype\n)R.",
    "an empty array": EMPTY + b".",
    "an empty array in a dictionary": b"}U\4data" + EMPTY + b"s.",
    "a state of a number": b"K\1)b.",
    "a state of one word": EMPTY + b"K\1b.",
    "a state that sets attributes": EMPTY + b"N}X\5\0\0\0valueK\1s\x86b.",
    "a shape that is none": FROM_BUFFER + b"(U\2abK\2" + DTYPE + b"U\1CtR.",
    "a shape of text": FROM_BUFFER + b"(U\2abU\2\2\1\x85" + DTYPE + b"U\1CtR.",
    "an edge that fits itself": FROM_BUFFER + b"(U\2abJ\xff\xff\xff\xff\x85" + DTYPE + b"U\1CtR.",
    "bytes that are text": FROM_BUFFER + b"(X\2\0\0\0abK\2\x85" + DTYPE + b"U\1CtR.",
    "bytes of objects": FROM_BUFFER + b"(]K\0\x85" + DTYPE + b"U\1CtR.",
    "a type that is none": FROM_BUFFER + b"(U\2abK\2\x85U\1OU\1CtR.",
    "no name of a name": b"K\1K\2\x93.",
    "another encoding": b"c_codecs\nencode\n(X\1\0\0\0aX\6\0\0\0rot_13tR.",
    "no bytes": b"\x80",
    "a protocol of tomorrow": b"\x80\x7fN.",
    "a length below zero": b"T\xff\xff\xff\xffabc.",
    "a number that is none": b"Iabc\n.",
    "a number of too many digits": b"L" + b"1" * 10_000 + b"L\n.",
    "bytes that are no text": b"X\2\0\0\0\xff\xfe.",
    "a persistent name": b"Pabc\n.",
    "a persistent name on the stack": b"K\1Q.",
    "a new object": b"cnumpy\nndarray\n)\x81.",
    "a buffer of somebody else": b"\x80\5\x97.",
}


@pytest.mark.parametrize("case", ODD_PICKLES)
def test_a_damaged_or_hostile_pickle_is_an_input_error(case: str) -> None:
    assert DAMAGED == message_of(load_pickle, ODD_PICKLES[case])


def test_a_pickle_cannot_change_how_the_next_one_is_read() -> None:
    whole = python2_pickle({"data": ROWS[:2]})
    for name in (b"numpy\ndtype", b"numpy\nndarray", b"numpy.core.multiarray\n_reconstruct", b"_codecs\nencode"):
        for state in (b"}X\5\0\0\0_callNs", b"N}X\5\0\0\0_callNs\x86", b"N}X\x0c\0\0\0__setstate__Ns\x86"):
            load_pickle(b"(c" + name + b"\n" + state + b"bl.")
        assert np.array_equal(ROWS[:2], load_pickle(whole)[b"data"])


def test_an_array_whose_bytes_do_not_fit_its_shape_is_refused() -> None:
    whole = python2_pickle(np.zeros((2, 3), np.uint8))
    for shape in (b"(K\2K\4t", b"(K\2K\2t", b"(J\xfe\xff\xff\xffJ\xfd\xff\xff\xfft", b"(U\1xt", b"(t", b"(K\2K\3\x88t"):
        assert whole.count(b"(K\2K\3t") == 1
        assert DAMAGED == message_of(load_pickle, whole.replace(b"(K\2K\3t", shape))


@pytest.mark.parametrize("shape", [(1 << 40,), (1 << 32, 1 << 32), (1 << 70,), (0, 1 << 62, 1 << 62), (2,) * 200])
def test_no_shape_takes_more_memory_than_the_file_has_bytes(shape: tuple[int, ...]) -> None:
    contents = [
        EMPTY + b"(K\1" + pickle.dumps(shape, 2)[2:-1] + DTYPE + b"\x89U\0tb.",
        FROM_BUFFER + b"(U\0" + pickle.dumps(shape, 2)[2:-1] + DTYPE + b"U\1CtR.",
    ]

    def refuse() -> None:
        for content in contents:
            assert DAMAGED == message_of(load_pickle, content)

    refuse()
    assert peak_bytes(refuse) < 200_000


@pytest.mark.parametrize("dtype", ["O", "u2", "i1", "b", "f8", "S1", "V4", "m8"])
def test_an_array_of_another_type_is_refused(dtype: str) -> None:
    array = np.zeros(3, dtype)
    for protocol in range(6):
        assert "expected an array of bytes ('u1'), found one of another type (make or fetch the file again)" == (
            message_of(load_pickle, pickle.dumps({"data": array}, protocol))
        )


def test_an_array_in_column_order_is_refused() -> None:
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for protocol in range(6):
        assert array.tolist() == load_pickle(pickle.dumps(array, protocol)).tolist()
        assert "expected an array row by row, found one column by column (make or fetch the file again)" == (
            message_of(load_pickle, pickle.dumps(np.asfortranarray(array), protocol))
        )


SMALL = {"data": ROWS[:2, :20], "labels": [1, 2], b"x": ("a\\\n\t'\xfc", None, True, 1 << 70, -7, b"\0\xff\\")}


@contextlib.contextmanager
def little_memory() -> Iterator[None]:
    """Limit memory to 256 MB more than is in use: a changed byte can claim a length of many gigabytes."""
    resource = pytest.importorskip("resource")
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (256 << 20), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_cut_anywhere_is_an_input_error(protocol: int) -> None:
    whole = pickle.dumps(SMALL, protocol)
    for cut in range(len(whole)):
        assert DAMAGED == message_of(load_pickle, whole[:cut])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is bounded as Linux does it")
@pytest.mark.parametrize("protocol", range(6))
def test_a_changed_pickle_is_read_or_is_an_input_error(protocol: int) -> None:
    whole = pickle.dumps(SMALL, protocol)
    rng = random.Random(protocol)
    read, messages = 0, set()
    with little_memory():
        for _ in range(3000):
            data = bytearray(whole)
            for _ in range(rng.randint(1, 4)):
                data[rng.randrange(len(data))] = rng.choice([rng.randrange(256), 0, 255, 0x80])
            try:
                load_pickle(bytes(data))
                read += 1
            except InputError as error:
                messages.add(str(error))

    assert 50 < read < 2950
    assert all(message.isprintable() for message in messages)  # on one line


FALSE_LENGTHS = {
    "a text": b"X\xff\xff\xff\x7fabc",
    "a text of Python 2": b"T\xff\xff\xff\x7fabc",
    "a number": b"\x8b\xff\xff\xff\x7fabc",
    "a frame": b"\x80\4\x95\0\0\0\0\1\0\0\0abc",
    "bytes": b"\x8e\0\0\0\0\1\0\0\0abc",
    "an array of bytes": b"\x96\0\0\0\0\1\0\0\0abc",
    "an entry of the memo": b"\x80\2]r\0\0\0\4.",
    "an entry of the memo, as text": b"]p67108864\n.",
    "an entry of the memo that is read": b"]j\0\0\0\4.",
    "the same list again and again": b"](q\0" + b"h\0" * 1000 + b"e.",
}


@pytest.mark.parametrize("case", FALSE_LENGTHS)
def test_a_false_length_in_a_pickle_takes_no_memory(case: str) -> None:
    def load() -> None:
        with contextlib.suppress(InputError):
            load_pickle(FALSE_LENGTHS[case])

    load()
    limit = 200_000 if sys.version_info < (3, 15) else 4 << 20  # a later Python allocates a MiB at a time
    assert peak_bytes(load) < limit


def repeated_hash(levels: int) -> bytes:
    """Return a pickle whose key is a tuple of one tuple twice, and so on: its hash takes 2**levels steps."""
    return b"})" + b"".join(b"q%ch%c\x86" % (level, level) for level in range(levels)) + b"K\1s."


ENCODE = b"c_codecs\nencode\nq\0"
PICKLE_BOMBS = {
    "a key of tuples in tuples": repeated_hash(60),
    "keys of tuples in tuples": repeated_hash(60).replace(b"})", b"}()").replace(b"s.", b"u."),
    "a dictionary of such keys": repeated_hash(60).replace(b"})", b"()").replace(b"s.", b"d."),
    "keys of equal hash": b"}K\1K\1s.",
    "a copy of a copy": b"})0\x86\x86.".replace(b"0", b"2" * 60),
    "a text that is converted twice": ENCODE
    + b"X\xff\0\0\0"
    + b"a" * 255
    + b"X\6\0\0\0latin1\x86q\1R"
    + b"h\0h\1R" * 3
    + b".",
    "a call with many arguments": ENCODE + b"(" + b"N" * 9 + b"tR.",
    "a call with the letters of a text": ENCODE + b"X\2\0\0\0abR.",
    "an array of many dimensions": FROM_BUFFER + b"(U\1a(" + b"K\1" * 65 + b"t" + DTYPE + b"U\1CtR.",
    "an index above the length": b"]q\xff.",
    "an index above the length, in four bytes": b"]r\xff\0\0\0.",
    "an index above the length, as text": b"]p255\n.",
}


@pytest.mark.parametrize("case", PICKLE_BOMBS)
def test_a_pickle_that_would_take_time_or_memory_beyond_its_length_is_refused(case: str) -> None:
    assert DAMAGED == message_of(load_pickle, PICKLE_BOMBS[case])


def test_a_text_is_converted_once_and_an_index_may_be_as_large_as_the_file() -> None:
    assert b"ab" == load_pickle(ENCODE + b"X\2\0\0\0abX\6\0\0\0latin1\x86R.")
    assert [] == load_pickle(b"]q\4.")
    assert DAMAGED == message_of(load_pickle, b"]q\5.")


def test_a_pickle_of_more_values_than_any_set_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "MAX_OPCODES", 5)
    assert [None] * 2 == load_pickle(b"(NNl.")
    expected = "the pickle holds more values than any set of images (is it the right file?)"
    assert expected == message_of(load_pickle, b"(NNNl.")


# Damaged and hostile tar files.


def test_links_and_devices_are_ignored_and_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, kind in (("data_batch_1", tarfile.SYMTYPE), ("test_batch", tarfile.CHRTYPE), ("x", tarfile.LNKTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        for name, content in PYTHON10.items():
            member = tarfile.TarInfo(f"../../../{tmp_path.name}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    (tmp_path / "a.tar.gz").write_bytes(buffer.getvalue())

    check_cifar(read_cifar("cifar10", tmp_path / "a.tar.gz"), "cifar10")
    assert ["a.tar.gz"] == names_in(tmp_path)


def test_a_name_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    files = {f"{folder}/{name}": data for folder in "ab" for name, data in BINARY100.items()}
    path = tmp_path / "a.tar"
    path.write_bytes(tarred(files, mode="w:"))
    assert f"{path}: holds train.bin twice (make or fetch the file again)" == message_of(read_cifar, "cifar100", path)


@pytest.mark.parametrize("mode", ["w:", "w:gz"])
def test_a_tar_file_cut_anywhere_is_an_input_error(tmp_path: Path, mode: str) -> None:
    whole = tarred(BINARY100, mode=mode)
    path = tmp_path / "a.tar"
    cuts = [*range(1, 600, 37), *range(600, len(whole) - 10_500, 1777)]  # a tar ends with 10 kB of zeros
    for cut in cuts:
        path.write_bytes(whole[:cut])
        with pytest.raises(InputError, match=r"a\.tar: |a\.tar, ") as caught:
            read_cifar("cifar100", path)
        assert "\n" not in str(caught.value)


def test_a_changed_tar_file_is_read_or_is_an_input_error(tmp_path: Path) -> None:
    whole = tarred(BINARY100, mode="w:")
    headers = [at for at in range(0, len(whole), 512) if whole[at : at + 8] == b"some-set"]
    rng = random.Random(1)
    path = tmp_path / "a.tar"
    refused = 0
    for _ in range(150):
        data = bytearray(whole)
        at = rng.choice(headers)
        kind = rng.choice([b"x", b"g", b"L", b"K", b"S", b"5", b"2", b"7", b"V"])
        data[at + 156 : at + 157] = kind
        data[at + 124 : at + 136] = rng.choice(
            [b"%011o\0" % rng.randrange(8**9), b"\x80" + rng.randbytes(11), b"z" * 12]
        )
        data[at + 148 : at + 156] = b"        "
        data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])  # so that the header counts
        path.write_bytes(data)
        try:
            read_cifar("cifar100", path)
        except InputError:
            refused += 1

    assert refused > 100


def test_endlessly_nested_headers_are_an_input_error(tmp_path: Path) -> None:
    header = tarfile.TarInfo("x")
    header.type = tarfile.GNUTYPE_LONGNAME
    header.size = 512
    block = header.tobuf(tarfile.GNU_FORMAT) + b"n" * 511 + b"\0"
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzipped(block * 5000))
    with pytest.raises(InputError, match="is not a complete tar file"):
        read_cifar("cifar10", path)


def claiming(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """The header of a member of *size* bytes, which do not follow it."""
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT) + bytes(10_240)


BOMBS = {
    "a member that claims much": (claiming("data_batch_1", 1 << 40), "claims 1,099,511,627,776 bytes"),
    "a member that claims what is not there": (claiming("data_batch_1", 200 << 20), "is not a complete tar file"),
    "another member": (claiming("other", 1 << 40), "claims 1,099,511,627,776 bytes"),
    "a size below zero": (claiming("x", -1024), "claims -1,024 bytes, which no file of this set has"),
    "a header": (claiming("x", 200 << 20, tarfile.XHDTYPE), "a header of 209,715,200 bytes"),
    "a long name": (claiming("x", 1 << 20, tarfile.GNUTYPE_LONGNAME), "a header of 1,048,576 bytes"),
    "a header of digits": (claiming("x", 9000, tarfile.XHDTYPE)[:512] + b"1" * 9216, "a header of 9,000 bytes"),
    "many headers": (
        # A header of digits alone takes tarfile 0.1 s.
        (
            claiming("x", 8192, tarfile.XHDTYPE)[:512]
            + b"8192 comment=".ljust(8191, b"x")
            + b"\n"
            + claiming("y", 0)[:512]
        )
        * 200,
        "holds headers of more than 1,048,576 bytes",
    ),
    "many members": (b"".join(claiming(str(n), 0)[:512] for n in range(1001)), "holds more than any archive"),
    "only zeros": (bytes(30_000_000), "no CIFAR-10"),
}


@pytest.mark.parametrize("case", BOMBS)
@pytest.mark.parametrize("compressed", [False, True])
def test_a_tar_bomb_takes_no_memory(tmp_path: Path, case: str, *, compressed: bool) -> None:
    content, expected = BOMBS[case]
    path = tmp_path / "a.tar"
    path.write_bytes(gzipped(content) if compressed else content)

    def refuse() -> None:
        assert expected in message_of(read_cifar, "cifar10", path)

    refuse()
    assert peak_bytes(refuse) < 8_000_000


def test_the_size_of_a_file_and_of_a_whole_tar_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(tarred(BINARY10))
    monkeypatch.setattr(archives, "MAX_TAR_BYTES", 30_000)
    assert "holds more than any archive of this set (is it the right file?)" in message_of(read_cifar, "cifar10", path)
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 9_000)
    assert "some-set/data_batch_1.bin: claims 9,219 bytes, which no file of this set has" in message_of(
        read_cifar, "cifar10", path
    )
    write_files(tmp_path / "set", BINARY10)
    assert "data_batch_1.bin: claims 9,219 bytes" in message_of(read_cifar, "cifar10", tmp_path / "set")


# The files that import writes.


def lines_of(path: Path) -> list[tuple[int, tuple[float, ...], str]]:
    entries = list(read_list(path.read_text(encoding="utf-8").splitlines()))
    return [(entry.id, entry.labels, entry.path) for entry in entries]  # type: ignore[union-attr]


def test_mnist_becomes_grey_images_with_exactly_its_pixels(tmp_path: Path) -> None:
    summary = import_set("mnist", tmp_path / "a" / "b", write_files(tmp_path / "m", spelled("-", ".gz")))
    out = tmp_path / "a" / "b"

    assert ["classes.txt", "test.idx", "test.lst", "test.rec", "train.idx", "train.lst", "train.rec"] == names_in(out)
    assert "".join(f"{n}\n" for n in range(10)) == (out / "classes.txt").read_text(encoding="utf-8")
    for split, stem in (("train", "train"), ("test", "t10k")):
        pixels, labels = DIGITS[stem]
        records = records_of(out / f"{split}.rec")
        assert [(0, label, n, 0) for n, label in enumerate(labels)] == [tuple(record.header) for record in records]
        assert [(28, 28, 1)] * len(labels) == [pixels_of(record.content).shape for record in records]
        assert pixels[..., None].tolist() == [pixels_of(record.content).tolist() for record in records]
        expected = [(n, (label,), f"{split}/{n:05d}.png") for n, label in enumerate(labels)]
        assert expected == lines_of(out / f"{split}.lst")
        with RecordFile(out / f"{split}.rec") as rec:
            assert list(range(len(labels))) == list(rec.keys)
    assert {"train": 12, "test": 5} == summary.splits
    assert 17 == summary.images
    assert 10 == summary.classes


def test_both_versions_of_cifar_10_become_the_same_files(tmp_path: Path) -> None:
    for version, files in (("python", PYTHON10), ("binary", BINARY10)):
        import_set("cifar10", tmp_path / version, write_files(tmp_path / f"{version} files", files))
    contents = [
        {name: (tmp_path / version / name).read_bytes() for name in names_in(tmp_path / version)}
        for version in ("python", "binary")
    ]

    assert contents[0] == contents[1]
    names = {"image.lst", "test.lst", "classes.txt"}
    names |= {f"{split}.{suffix}" for split in ("train", "test") for suffix in ("rec", "idx", "classes.txt")}
    assert names == set(contents[0])


def test_cifar_10_has_its_pixels_and_four_labels_in_its_lists(tmp_path: Path) -> None:
    import_set("cifar10", tmp_path / "out", write_files(tmp_path / "in", PYTHON10))
    names = [f"data_batch_{n}" for n in range(1, 6)]
    for split, of, listed, last in (("train", names, "image.lst", 0), ("test", ["test_batch"], "test.lst", 1)):
        records = records_of(tmp_path / "out" / f"{split}.rec")
        rows = np.concatenate([ROWS10[name][0] for name in of])
        labels = [
            (ROWS10[name][1][row], b, row, last) for b, name in enumerate(of) for row in range(len(ROWS10[name][0]))
        ]
        assert pixels_of_rows(rows).tolist() == [pixels_of(record.content).tolist() for record in records]
        assert [(0, four[0], n, 0) for n, four in enumerate(labels)] == [tuple(record.header) for record in records]
        expected = [(n, four, f"{split}/{n:05d}.png") for n, four in enumerate(labels)]
        assert expected == lines_of(tmp_path / "out" / listed)
    assert NAMES10 == (tmp_path / "out" / "classes.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("label", ["fine", "coarse", "both"])
def test_cifar_100_has_the_label_that_the_parameter_selects(tmp_path: Path, label: str) -> None:
    source = write_files(tmp_path / "in", BINARY100)
    import_set("cifar100", tmp_path / "out", source, Cifar100Params(label=label))
    _, fine, coarse = ROWS100["train"]
    records = records_of(tmp_path / "out" / "train.rec")
    expected = {
        "fine": [(f,) for f in fine],
        "coarse": [(c,) for c in coarse],
        "both": list(zip(fine, coarse, strict=True)),
    }

    assert expected[label] == [tuple(np.atleast_1d(record.header.label)) for record in records]
    assert {2 if label == "both" else 0} == {record.header.flag for record in records}
    assert expected[label] == [labels for _, labels, _ in lines_of(tmp_path / "out" / "train.lst")]
    assert FINE == (tmp_path / "out" / "classes.txt").read_text(encoding="utf-8").splitlines()
    assert COARSE == (tmp_path / "out" / "coarse_classes.txt").read_text(encoding="utf-8").splitlines()
    for split in ("train", "test"):  # the names of the labels that are stored
        assert (COARSE if label == "coarse" else FINE) == read_classes(tmp_path / "out" / f"{split}.classes.txt")


def test_jpegs_have_the_quality_of_the_parameter(tmp_path: Path) -> None:
    source = write_files(tmp_path / "in", PYTHON10)
    sizes = []
    for quality in (95, 30):
        out = tmp_path / str(quality)
        import_set("cifar10", out, source, ImportParams(encoding="jpg", quality=quality))
        records = records_of(out / "train.rec")
        assert {b"\xff\xd8\xff"} == {record.content[:3] for record in records}
        assert "train/00000.jpg" == lines_of(out / "image.lst")[0][2]
        sizes.append(sum(len(record.content) for record in records))

    assert sizes[0] > 2 * sizes[1]


def test_the_training_files_of_mnist_alone_become_a_training_set(tmp_path: Path) -> None:
    write_files(tmp_path, MNIST_FILES)
    pair = MnistPair(tmp_path / "train-images-idx3-ubyte", tmp_path / "train-labels-idx1-ubyte")
    import_set("mnist", tmp_path / "out", {"train": pair})

    assert ["classes.txt", "train.idx", "train.lst", "train.rec"] == names_in(tmp_path / "out")


def test_a_set_without_images_is_an_error(tmp_path: Path) -> None:
    write_files(tmp_path, {"i": idx_images(np.zeros((0, 28, 28), np.uint8)), "l": idx_labels(np.zeros(0))})
    expected = f"{tmp_path / 'i'}: holds no train images (is it the right one?)"
    assert expected == message_of(
        import_set, "mnist", tmp_path / "out", {"train": MnistPair(tmp_path / "i", tmp_path / "l")}
    )
    assert not (tmp_path / "out").exists()


def test_a_set_of_another_size_than_the_published_one_gives_a_warning(tmp_path: Path) -> None:
    summary = import_set("cifar10", tmp_path / "out", write_files(tmp_path / "in", PYTHON10), dry_run=True)
    assert [
        "the train split holds 25 images, that of the published set 50,000",
        "the test split holds 4 images, that of the published set 10,000",
    ] == summary.warnings
    assert ["in"] == names_in(tmp_path)


def test_a_failure_leaves_no_file_and_no_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_files(tmp_path / "in", PYTHON10)
    real = AtomicFile.write

    def full(self: AtomicFile, data: bytes) -> None:
        if self.path.name == "test.lst":
            raise OutputError("full")
        real(self, data)

    monkeypatch.setattr(AtomicFile, "write", full)
    assert "full" == message_of(import_set, "cifar10", tmp_path / "a" / "b", source)
    (tmp_path / "out").mkdir()
    assert "full" == message_of(import_set, "cifar10", tmp_path / "out", source)
    assert ["in", "out"] == names_in(tmp_path)
    assert [] == names_in(tmp_path / "out")


def test_existing_files_need_force_and_stay_when_the_import_fails(tmp_path: Path) -> None:
    source = write_files(tmp_path / "in", PYTHON10)
    out = write_files(tmp_path / "out", {"classes.txt": b"mine"})
    refusal = f"{out / 'classes.txt'}: exists already (replace it with force=True, or choose another name)"
    assert refusal == message_of(import_set, "cifar10", out, source)
    (source / "test_batch").write_bytes(b"damaged")
    with pytest.raises(InputError):
        import_set("cifar10", out, source, force=True)
    assert ["classes.txt"] == names_in(out)
    assert b"mine" == (out / "classes.txt").read_bytes()
    (source / "test_batch").write_bytes(PYTHON10["test_batch"])
    import_set("cifar10", out, source, force=True)
    assert NAMES10 == (out / "classes.txt").read_text(encoding="utf-8").split()


def test_an_old_digest_needs_force_and_is_removed_then(tmp_path: Path) -> None:
    source = write_files(tmp_path / "in", PYTHON10)
    out = write_files(tmp_path / "out", {"test.rec.digest": b"of another file"})
    refusal = f"{out / 'test.rec.digest'}: exists already (replace it with force=True, or choose another name)"
    assert refusal == message_of(import_set, "cifar10", out, source)
    assert refusal == message_of(import_set, "cifar10", out, None, dry_run=True)
    import_set("cifar10", out, source, force=True)
    assert not (out / "test.rec.digest").exists()


def test_an_output_that_is_not_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    for out in (tmp_path / "f", tmp_path / "f" / "inner"):
        expected = f"{tmp_path / 'f'}: is not a folder (name a folder to write to)"
        assert expected == message_of(import_set, "cifar10", out, tmp_path)


def test_invalid_parameters_are_refused() -> None:
    assert ".jpg" == ImportParams(encoding="jpg").encoding
    for wrong in ({"encoding": ".bmp"}, {"quality": 101}):
        with pytest.raises(ParameterError):
            ImportParams(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="label=x must be fine, coarse or both"):
        Cifar100Params(label="x")


def test_a_summary_is_plain_data(tmp_path: Path) -> None:
    summary = import_set("cifar10", tmp_path / "out", write_files(tmp_path / "in", PYTHON10))
    assert "cifar10" == json.loads(json.dumps(vars(summary)))["name"]
