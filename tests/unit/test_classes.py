"""Class names beside a list or a .rec: which file is found, how it names a label, and its copy beside a pack."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from helpers import message_of
from image_helpers import a_list_of_images, names_in

from im2rec.errors import ImageError
from im2rec.packing.pack import PackOptions, pack
from im2rec.packing.params import PackParams
from im2rec.storage import disk
from im2rec.storage.classes import ClassesCopy, ClassNames, class_names_beside, classes_path, find_classes, read_classes
from im2rec.storage.output import AtomicFile

# By the name of a list or a .rec: the names that are tried, the first one first.
TRIED = {
    "photos.lst": ["photos"],
    "photos.rec": ["photos"],
    "photos": ["photos"],
    "photos_train.lst": ["photos_train", "photos"],
    "photos_val.rec": ["photos_val", "photos"],
    "photos_test.rec": ["photos_test", "photos"],
    "photos_0.lst": ["photos_0", "photos"],
    "photos_12_train.lst": ["photos_12_train", "photos_12", "photos"],
    "out.rec.part003": ["out"],
    "out_train.rec.part003": ["out_train", "out"],
    "a.b.rec": ["a.b"],
    "_train.rec": ["_train"],
    "training.rec": ["training"],
}


@pytest.mark.parametrize("name", TRIED)
def test_the_names_of_the_file_itself_come_before_those_of_the_prefix_of_its_lists(tmp_path: Path, name: str) -> None:
    paths = [tmp_path / f"{stem}.classes.txt" for stem in TRIED[name]]
    assert find_classes(tmp_path / name) is None
    for path in reversed(paths):
        path.write_text("cat\n")
        assert path == find_classes(tmp_path / name)
    assert paths[0] == classes_path(tmp_path / name)


def test_a_label_has_a_name_if_it_is_the_number_of_a_line() -> None:
    names = ClassNames(Path("a.classes.txt"), ["cat", "dog"])
    labels = [0.0, 1.0, -0.0, 2.0, -1.0, 0.5, float("nan"), float("inf"), float("-inf")]

    assert ["cat", "dog", "cat", *[None] * 6] == list(map(names.name_of, labels))


def test_a_file_that_is_no_use_is_a_problem_and_not_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.classes.txt"
    assert (None, "") == class_names_beside(tmp_path / "a.rec")

    path.write_text("cat\ncat\n")
    problem = f"{path}, line 2: 'cat' is on two lines (one folder a line, line 1 is label 0)"
    assert (None, problem) == class_names_beside(tmp_path / "a.rec")
    path.unlink()
    path.mkdir()
    names, problem = class_names_beside(tmp_path / "a.rec")
    assert names is None
    assert problem.startswith(f"{path}: ")


@pytest.mark.skipif(os.name == "nt", reason="links need a right of their own on Windows")
def test_a_broken_link_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "a.classes.txt"
    path.symlink_to("gone")

    assert (None, f"{path}: cannot be read: no such file or directory (check the path)") == class_names_beside(
        tmp_path / "a.rec"
    )


def copied(folder: Path, out: str = "out.rec", *, force: bool = False) -> list[str]:
    copy = ClassesCopy(folder / "l_train.lst", folder / out, force=force)
    copy.write()
    return [path.name for path in copy.files]


def test_names_are_copied_beside_the_output_under_its_stem(tmp_path: Path) -> None:
    (tmp_path / "l.classes.txt").write_bytes(b"\xef\xbb\xbfcat\r\ncaf\xe9\n")

    assert ["out.classes.txt"] == copied(tmp_path)
    assert b"cat\ncaf\xe9\n" == (tmp_path / "out.classes.txt").read_bytes()
    assert ["output.classes.txt"] == copied(tmp_path, "output.bin")
    assert ["l.classes.txt", "out.classes.txt", "output.classes.txt"] == names_in(tmp_path)


def test_a_copy_with_the_same_content_is_left_alone_and_another_one_needs_force(tmp_path: Path) -> None:
    (tmp_path / "l.classes.txt").write_text("cat\n")
    assert ["out.classes.txt"] == copied(tmp_path)
    assert [] == copied(tmp_path)

    (tmp_path / "l.classes.txt").write_text("dog\n")
    expected = f"{tmp_path / 'out.classes.txt'}: exists already (replace it with force=True, or choose another name)"
    assert expected == message_of(copied, tmp_path)
    assert "cat\n" == (tmp_path / "out.classes.txt").read_text()
    assert ["out.classes.txt"] == copied(tmp_path, force=True)
    assert "dog\n" == (tmp_path / "out.classes.txt").read_text()


def test_names_that_are_beside_the_output_already_are_not_written_again(tmp_path: Path) -> None:
    (tmp_path / "l_train.classes.txt").write_bytes(b"cat\r\n")

    assert [] == copied(tmp_path, "l_train.rec")
    assert b"cat\r\n" == (tmp_path / "l_train.classes.txt").read_bytes()


def test_names_are_copied_only_when_all_images_are_packed(tmp_path: Path) -> None:
    listed, root = a_list_of_images(tmp_path, 1)
    (tmp_path / "l.classes.txt").write_text("cat\n")
    content = (root / "0.jpg").read_bytes()
    (root / "0.jpg").unlink()
    with pytest.raises(ImageError):
        pack(listed, root, tmp_path / "out.rec", PackParams(unchanged=True), PackOptions(workers=1, on_error="fail"))
    assert ["l.classes.txt", "l.lst", "root"] == names_in(tmp_path)

    (root / "0.jpg").write_bytes(content)
    pack(listed, root, tmp_path / "out.rec", PackParams(unchanged=True), PackOptions(workers=1))
    assert ["l.classes.txt", "l.lst", "out.classes.txt", "out.idx", "out.rec", "root"] == names_in(tmp_path)


def test_a_copy_that_another_part_of_the_pack_is_writing_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "l.classes.txt").write_text("cat\n")
    copy = ClassesCopy(tmp_path / "l.lst", tmp_path / "out.rec.part001", force=False)
    other = AtomicFile(tmp_path / "out.classes.txt", force=True)
    comes, real = threading.Event(), disk.open_output

    def open_output(path: Path, **options: Any) -> disk.OutputStream:
        comes.set()
        return real(path, **options)

    monkeypatch.setattr(disk, "open_output", open_output)
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(copy.write)
        assert comes.wait(60)
        with other:
            other.write(b"cat\n")
        written.result()
    assert ["l.classes.txt", "out.classes.txt"] == names_in(tmp_path)
    assert b"cat\n" == (tmp_path / "out.classes.txt").read_bytes()


def test_names_of_an_earlier_list_beside_the_output_are_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "out.classes.txt"
    path.write_text("cat\n")
    copy = ClassesCopy(tmp_path / "l.lst", tmp_path / "out.rec", force=True)

    warning = f"{path}: is there already, and {tmp_path / 'l.lst'} has no class names: does it fit?"
    assert ([], [warning]) == (copy.files, copy.warnings)


def test_without_names_nothing_is_copied_and_unusable_ones_are_a_warning(tmp_path: Path) -> None:
    assert [] == copied(tmp_path)

    (tmp_path / "l.classes.txt").write_text("cat\n\ndog\n")
    copy = ClassesCopy(tmp_path / "l.lst", tmp_path / "out.rec", force=False)
    problem = f"{tmp_path / 'l.classes.txt'}, line 2: is empty (one folder a line, line 1 is label 0)"
    assert ([], [f"{problem}; the class names are not copied"]) == (copy.files, copy.warnings)


def test_the_folders_of_a_classes_file_are_listed_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "train.classes.txt"
    for text in ("dogs\ncats\nbig birds\n", "dogs\ncats\nbig birds", "\ufeffdogs\r\ncats\r\nbig birds\r\n"):
        path.write_bytes(text.encode())
        assert ["dogs", "cats", "big birds"] == read_classes(path)


def test_a_classes_file_with_an_empty_or_a_doubled_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.classes.txt"
    for text, problem in {
        "": "line 1: is empty",
        "a\n\nb\n": "line 2: is empty",
        "a\nb\na\n": "line 3: 'a' is on two lines",
        "caf\xe9\ncaf\xe9\n": "line 2: 'caf\\xe9' is on two lines",
        "\x1b[31m\n\x1b[31m\n": "line 2: '\\x1b[31m' is on two lines",
        f"{'a' * 999}\n" * 2: f"line 2: '{'a' * 200}' is on two lines",
    }.items():
        path.write_bytes(text.encode("latin-1"))
        expected = f"{path}, {problem} (one folder a line, line 1 is label 0)"
        assert expected == message_of(read_classes, path)
