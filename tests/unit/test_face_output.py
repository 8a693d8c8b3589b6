"""Sets for face recognition whose packing was cut short: the same words go on to the files of an undisturbed run."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
from face_pack_helpers import FILES, FaceCase, a_case, as_published, keyed_records
from full_disk_helpers import fill_disk
from image_helpers import names_in
from pack_helpers import StoppedError, files_in, packed_lines, save_always, without_times

from im2rec.packing import pack_output
from im2rec.packing.face_pack import FaceOptions
from im2rec.packing.pack import PackOptions, pack
from im2rec.packing.partial_pack import PartialPack
from im2rec.storage import disk
from im2rec.storage.journal import Journal

LABELS = (7, 3, 7, 3, 20, 7, 4, 4)
ORDER = [2, 4, 7, 8, 1, 3, 6, 5]  # numbers of the lines, by class
BAD = [3, 6, 4]  # among them all of the last class
LEFT = [f"{name}.im2rec-partial" for name in ("train.idx", "train.labels.tsv", "train.rec")]
LEFT = sorted([*LEFT, "train.rec.im2rec-journal"])


@pytest.fixture(autouse=True)
def _states_are_saved_always(monkeypatch: pytest.MonkeyPatch) -> None:
    save_always(monkeypatch)


@pytest.fixture
def case(tmp_path: Path) -> FaceCase:
    """A list of eight images of four people, in no order, with names."""
    (tmp_path / "l.classes.txt").write_text("".join(f"name {number}\n" for number in range(21)))
    return a_case(tmp_path, LABELS)


@pytest.mark.parametrize("at", range(2, 9))
def test_a_set_that_was_stopped_goes_on_and_ends_with_the_files_of_an_undisturbed_one(
    case: FaceCase, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    case.stop(at)
    assert LEFT == names_in(case.out)
    lines = packed_lines(monkeypatch)
    summary = case.pack()

    assert ORDER[at - 1 :] == lines
    assert (8, at - 1, ORDER[at - 1]) == (summary.images, summary.resumed, summary.resumed_line)
    assert case.undisturbed() == (files_in(case.out), without_times(summary))
    assert sorted([*FILES, "train.classes.txt"]) == names_in(case.out)


@pytest.mark.parametrize("at", range(2, 6))
def test_a_set_with_bad_images_and_without_header_goes_on_too(tmp_path: Path, at: int) -> None:
    case = a_case(tmp_path, LABELS, bad=BAD)
    case.faces = FaceOptions(header=False)
    case.stop(at)
    summary = case.pack()
    assert case.undisturbed() == (files_in(case.out), without_times(summary))
    assert summary.faces is not None
    assert (3, 1) == (summary.faces.identities, summary.faces.identities_left_out)


def test_a_set_may_be_stopped_again_and_again(case: FaceCase) -> None:
    for at in range(2, 9):
        case.stop(at)
    summary = case.pack()
    assert case.undisturbed() == (files_in(case.out), without_times(summary))


@pytest.mark.parametrize("at", range(1, 60))
def test_an_interrupt_behind_any_write_of_the_system_changes_no_byte(
    case: FaceCase, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    case.interrupt(monkeypatch, at)


@pytest.mark.parametrize("at", range(2, 8))
def test_with_the_bytes_lost_that_were_not_synchronised_the_result_is_the_same(case: FaceCase, at: int) -> None:
    """As after a power failure: what was not synchronised may be zeros."""
    case.stop(at)
    with Journal(case.out / "train.rec") as journal:
        kept = journal.synced[0].sizes
    for name in ("train.rec", "train.idx", "train.labels.tsv"):
        path = case.out / f"{name}.im2rec-partial"
        start = kept.get(name, 0)
        path.write_bytes(path.read_bytes()[:start] + bytes(path.stat().st_size - start))

    summary = case.pack()
    assert case.undisturbed() == (files_in(case.out), without_times(summary))


@pytest.mark.parametrize("step", range(20))
@pytest.mark.parametrize("force", [False, True])
def test_a_set_that_was_complete_but_had_not_all_its_names_gets_them(
    case: FaceCase, monkeypatch: pytest.MonkeyPatch, step: int, force: bool
) -> None:
    """Killed behind any rename or removal; without another image, and with no .rec beside files of another."""
    old: dict[str, bytes] = {}
    if force:
        content = (case.root / "1.jpg").read_bytes()
        (case.root / "1.jpg").write_bytes(b"text")  # so that all files are others
        (case.root / "4.jpg").rename(case.root / "4")
        FaceCase(case.listed, case.root, case.out).pack(digest=True)
        old = files_in(case.out)
        (case.root / "1.jpg").write_bytes(content)
        (case.root / "4").rename(case.root / "4.jpg")
    done = 0

    def stopping(real: Any) -> Any:
        def step_done(*args: Any, **options: Any) -> Any:
            nonlocal done
            done += 1
            if done == step:
                raise StoppedError
            return real(*args, **options)

        return step_done

    with monkeypatch.context() as patch:
        for name in ("replace", "rename_new", "remove"):
            patch.setattr(disk, name, stopping(getattr(disk, name)))
        with contextlib.suppress(StoppedError):
            case.pack(force=force)
    is_over = done < step or step == 0
    expected = case.undisturbed()
    stands = {name: data for name, data in files_in(case.out).items() if name in (*expected[0], *old)}
    new_rec = stands.get("train.rec") == expected[0]["train.rec"]
    wanted = expected[0] if new_rec else old
    assert stands.items() <= wanted.items()
    lines = packed_lines(monkeypatch)
    summary = case.pack(force=is_over or force)
    if not is_over and step > 8:
        assert [] == lines
    assert expected == (files_in(case.out), without_times(summary))
    assert as_published(keyed_records(case.out)) == as_published(keyed_records(case.out.with_name("undisturbed")))


@pytest.mark.parametrize("name", ["train.rec", "train.idx", "train.labels.tsv", "property", "train.classes.txt"])
@pytest.mark.parametrize("fails", ["write", "flush"])
def test_a_full_disk_keeps_what_is_packed_and_the_same_words_go_on(
    case: FaceCase, monkeypatch: pytest.MonkeyPatch, name: str, fails: str
) -> None:
    with monkeypatch.context() as patch:
        before = {"write": 2, "flush": 8}[fails] if name in ("train.rec", "train.idx") else 0
        fill_disk(patch, name, fails, before=before)
        message = case.message()
        assert message.startswith(f"{case.out / name}: cannot be written: no space left on device")
    if case.out.exists():  # else nothing was worth keeping
        assert not set(names_in(case.out)) & {*FILES, "train.classes.txt"}
    summary = case.pack()
    assert case.undisturbed() == (files_in(case.out), without_times(summary))


# Other words.


def test_a_set_is_not_gone_on_with_by_other_words(case: FaceCase, tmp_path: Path) -> None:
    case.stop(4)
    left = files_in(case.out)
    target = case.out / "train.rec"
    begun = f"{target}: an unfinished pack of it was begun with "
    case.faces = FaceOptions(header=False)
    assert case.message().startswith(f"{begun}header=True, not header=False (")
    case.faces = FaceOptions()
    (tmp_path / "l.classes.txt").write_text("".join(f"other {number}\n" for number in range(21)))
    assert case.message().startswith(f"{begun}class_names=")
    (tmp_path / "l.classes.txt").unlink()
    assert case.message().startswith(f"{begun}class_names=")
    with pytest.raises(pack_output.OutputError, match="was begun with profile=insightface, not profile=not given"):
        pack(case.listed, case.root, target, case.params, PackOptions(workers=1))
    assert left == files_in(case.out)

    summary = case.pack(restart=True)
    assert case.undisturbed() == (files_in(case.out), without_times(summary))


def test_a_plain_pack_is_not_gone_on_with_as_a_set(case: FaceCase) -> None:
    case.out.mkdir()

    def progress(images: int, _: float) -> None:
        if images == 4:
            raise StoppedError

    options = PackOptions(workers=1)
    with pytest.raises(StoppedError):
        pack(case.listed, case.root, case.out / "train.rec", case.params, options, progress=progress)
    assert "begun with profile=not given, not profile=insightface" in case.message()


def test_another_working_directory_counts_for_the_paths_of_face2rec2_only(
    case: FaceCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    case.stop(4)
    monkeypatch.chdir(tmp_path / "other")
    case.pack()

    case.out = tmp_path / "set 2"
    case.listed.write_text("".join(f"1\t{n}.jpg\t{label}\n" for n, label in enumerate(LABELS)))
    case.stop(4)
    monkeypatch.chdir(tmp_path)
    assert "was begun with folder=" in case.message()


def test_restart_removes_what_the_older_run_has_left_also_of_names_that_are_gone(
    case: FaceCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fill_disk(patch, "train.classes.txt", "flush")
        case.message()
    assert "train.classes.txt.im2rec-partial" in names_in(case.out)
    (tmp_path / "l.classes.txt").unlink()
    case.pack(restart=True)
    assert FILES == names_in(case.out)


def test_resume_insists_on_an_unfinished_set(case: FaceCase) -> None:
    assert "no unfinished pack of it is there to go on from" in case.message(resume=True)
    assert not case.out.exists()
    case.stop(4)
    assert 3 == case.pack(resume=True).resumed


def test_a_map_of_labels_that_is_gone_is_not_made_up(case: FaceCase) -> None:
    case.stop(8)
    (case.out / "train.labels.tsv.im2rec-partial").unlink()
    with contextlib.suppress(FileNotFoundError):
        os.truncate(case.out / "train.labels.tsv.im2rec-partial", 0)
    message = case.message()
    assert "train.labels.tsv" in message
    summary = case.pack(restart=True)
    assert case.undisturbed() == (files_in(case.out), without_times(summary))


def test_the_files_behind_the_last_state_are_made_anew(case: FaceCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the companions and the state that all is complete."""
    real = PartialPack.write_ending

    def write_ending(self: PartialPack, ending: Any) -> None:
        real(self, ending)
        raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(PartialPack, "write_ending", write_ending)
        with pytest.raises(StoppedError):
            case.pack()
    assert {"property.im2rec-partial", "train.classes.txt.im2rec-partial"} <= set(names_in(case.out))
    summary = case.pack()
    assert case.undisturbed() == (files_in(case.out), without_times(summary))
