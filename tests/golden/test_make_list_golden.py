"""Lists equal those of im2rec.py 1.9.1 but for deliberate differences: labels are integers, no image is lost, two
shares are called train and test, hidden files are left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers import golden_json
from image_helpers import GOLDEN_IMAGES, names_in

from im2rec.errors import InputError
from im2rec.packing.list_files import FoundImage
from im2rec.packing.make_list import ListOptions, divide, make_list

RECORDED = golden_json("make_list")
CASES = RECORDED["cases"]


def as_ours(text: str) -> str:
    """A recorded list with its labels as integers, the only difference in form."""
    lines = (line.split("\t") for line in text.splitlines())
    return "".join(f"{id_}\t{int(float(label))}\t{path}\n" for id_, label, path in lines)


def make_lists(folder: Path, **options: Any) -> dict[str, str]:
    """The list files that :func:`make_list` writes for the golden images with the prefix ``l``."""
    make_list(GOLDEN_IMAGES, folder / "l", ListOptions(**options))
    return {path.name: path.read_bytes().decode() for path in folder.glob("*.lst")}


SAME: dict[str, dict[str, Any]] = {
    "flat_no_shuffle": {"flat": True},
    "recursive_no_shuffle": {},
    "recursive_shuffled": {"shuffle": True},
    "chunks_3": {"chunks": 3},
    "exts_png": {"extensions": (".png",)},
    "train_1_test_ignored": {"split": (1.0,)},
}
DIFFERENT = {
    "train_half_test_quarter",  # train comes first here, test last
    "train_07_test_03_drops_tail",
    "chunks_3_train_06",  # the rest is called test here, and sizes are by largest remainder
    "exts_without_dot",
    "exts_upper",
}


def test_every_recorded_case_is_compared() -> None:
    assert set(CASES) == set(SAME) | DIFFERENT


def test_lists_equal_those_of_im2rec_py_line_by_line(tmp_path: Path) -> None:
    for case, options in SAME.items():
        folder = tmp_path / case
        folder.mkdir()
        expected = {name: as_ours(text) for name, text in CASES[case]["files"].items()}
        assert (case, expected) == (case, make_lists(folder, **options))


def test_the_classes_file_has_the_labels_that_im2rec_py_prints(tmp_path: Path) -> None:
    for case, options in SAME.items():
        if CASES[case]["stdout"]:  # it prints none when it does not recurse
            folder = tmp_path / case
            folder.mkdir()
            make_lists(folder, **options)
            folders = (folder / "l.classes.txt").read_text().splitlines()
            assert CASES[case]["stdout"] == [f"{name} {label}" for label, name in enumerate(folders)]


def test_the_shuffle_gives_the_recorded_permutations_of_seed_100() -> None:
    permutations = RECORDED["shuffle_permutation_seed100"]
    assert 10 == len(permutations)
    for count, expected in permutations.items():
        images = [FoundImage(0, str(number)) for number in range(int(count))]
        if images:
            (entries,) = divide(images, ListOptions(shuffle=True))
            assert expected == [id_ for id_, _ in entries]


def test_three_shares_have_as_many_images_as_those_of_im2rec_py_in_the_order_train_val_test(tmp_path: Path) -> None:
    whole = as_ours(CASES["recursive_no_shuffle"]["files"]["l.lst"]).splitlines(keepends=True)
    recorded = CASES["train_half_test_quarter"]["files"]
    ours = make_lists(tmp_path, split=(0.5, 0.25, 0.25))

    assert {"l_train.lst": whole[:4], "l_val.lst": whole[4:6], "l_test.lst": whole[6:]} == {
        name: text.splitlines(keepends=True) for name, text in ours.items()
    }
    assert {name: text.count("\n") for name, text in recorded.items()} == {
        name: text.count("\n") for name, text in ours.items()
    }


def test_a_split_in_which_im2rec_py_loses_an_image_loses_none_here(tmp_path: Path) -> None:
    whole = as_ours(CASES["recursive_no_shuffle"]["files"]["l.lst"])
    recorded = CASES["train_07_test_03_drops_tail"]["files"]
    ours = make_lists(tmp_path, split=(0.7, 0.3))

    assert 7 == sum(text.count("\n") for text in recorded.values())
    assert whole == ours["l_train.lst"] + ours["l_test.lst"]
    assert 6 == ours["l_train.lst"].count("\n")
    assert 2 == ours["l_test.lst"].count("\n")


def test_chunks_are_cut_from_the_same_shuffled_walk(tmp_path: Path) -> None:
    recorded = CASES["chunks_3_train_06"]["files"]
    ours = make_lists(tmp_path, shuffle=True, chunks=3, split=(0.6,))

    for chunk in range(3):
        theirs = as_ours(recorded[f"l_{chunk}_train.lst"] + recorded[f"l_{chunk}_val.lst"])
        assert theirs == ours[f"l_{chunk}_train.lst"] + ours[f"l_{chunk}_test.lst"]


@pytest.mark.parametrize(("case", "extensions"), [("exts_without_dot", ("png",)), ("exts_upper", (".JPG",))])
def test_suffixes_that_match_no_file_in_im2rec_py_match_here(
    tmp_path: Path, case: str, extensions: tuple[str, ...]
) -> None:
    assert {"l.lst": ""} == CASES[case]["files"]
    suffix = extensions[0].lower().lstrip(".")
    expected = [
        line
        for line in CASES["recursive_no_shuffle"]["files"]["l.lst"].splitlines()
        if line.lower().endswith("." + suffix)
    ]

    assert [line.split("\t")[2] for line in expected] == [
        line.split("\t")[2] for line in make_lists(tmp_path, extensions=extensions)["l.lst"].splitlines()
    ]


def test_no_list_is_written_where_im2rec_py_writes_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no images"):
        make_lists(tmp_path, extensions=(".gif",))
    assert [] == names_in(tmp_path)
