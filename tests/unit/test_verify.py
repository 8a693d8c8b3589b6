from pathlib import Path

import pytest
from helpers import image_payload, write_rec
from image_helpers import encoded, im2rec, texture

from im2rec.images.codec import JPEG_DECODER
from im2rec.inspection.survey import survey
from im2rec.inspection.verify import verify
from im2rec.selection import decoding
from im2rec.selection.decoding import Verification

JPEG = encoded(texture(), quality=90)
SEES_NO_END = JPEG_DECODER == "simplejpeg"  # Pillow alone takes a file without its end marker for a cut one


def damaged_set(folder: Path) -> Path:
    contents = [JPEG, JPEG[:-40], b"no picture", JPEG[:-2], encoded(texture(), "PNG"), b"", JPEG]
    payloads = [image_payload(10 + n, 1.0, content) for n, content in enumerate(contents)] + [b"short"]
    return write_rec(folder / "some.rec", payloads)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_image_is_decoded_and_failures_are_listed_in_file_order(tmp_path: Path, workers: int) -> None:
    found = verify(damaged_set(tmp_path), workers=workers)

    without_end = {"no end marker": 1} if SEES_NO_END else {}
    failures = {1: (11, "cut short"), 2: (12, "not an image"), 3: (13, "cut short"), 7: (None, "no image header")}
    if SEES_NO_END:
        del failures[3]
    assert (3 + SEES_NO_END, 1) == (found.decoded, found.without_image)
    assert without_end == found.flaws
    assert list(failures.items()) == [(bad.record, (bad.id, bad.reason)) for bad in found.failures]
    assert all(bad.offset > 0 for bad in found.failures)


def test_the_result_does_not_depend_on_the_size_of_a_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = damaged_set(tmp_path)
    whole = verify(path, workers=1)
    monkeypatch.setattr(decoding, "BATCH_BYTES", 1)
    assert whole == verify(path, workers=1)


def test_a_file_that_takes_the_place_of_another_is_read_itself(tmp_path: Path) -> None:
    path = damaged_set(tmp_path)
    first = verify(path, workers=1)
    path.rename(tmp_path / "earlier.rec")
    write_rec(path, [image_payload(7, 1.0, JPEG)])

    assert first.failures
    assert (1, []) == ((found := verify(path, workers=1)).decoded, found.failures)


def test_damaged_frames_are_skipped_and_listed_by_the_survey(tmp_path: Path) -> None:
    path = damaged_set(tmp_path)
    data = bytearray(path.read_bytes())
    data[0:4] = b"????"
    path.write_bytes(data)

    assert 2 + SEES_NO_END == verify(path, workers=1).decoded
    code, out, _ = im2rec("inspect", path, "--verify", "--workers", "1")
    assert 5 == code
    assert "\n  damaged " in out


def test_a_record_with_padding_other_than_zeros_is_damage_that_the_survey_lists(tmp_path: Path) -> None:
    path = write_rec(
        tmp_path / "a.rec", [image_payload(0, 1.0, encoded(texture(), "PNG") + b"x" * n) for n in range(4)]
    )
    data = bytearray(path.read_bytes())
    at = next(n for n in range(4) if (24 + len(encoded(texture(), "PNG")) + n) % 4 == 3)
    offset = int(path.with_suffix(".idx").read_text().splitlines()[at].split()[1])
    end = offset + 8 + 24 + len(encoded(texture(), "PNG")) + at
    data[end] = 7
    path.write_bytes(data)

    assert Verification(decoded=3) == verify(path, workers=1)
    (damage,) = survey(path).damage
    assert (offset, end + 1, "expected zero padding, found 07") == (damage.start, damage.end, damage.problem)


def test_the_command_lists_failures_and_exits_with_3(tmp_path: Path) -> None:
    code, out, err = im2rec("inspect", damaged_set(tmp_path), "--verify", "--workers", "1", "-q")

    assert 3 == code
    assert "" == err
    decoded = "4 images, 1 of them with no end marker; 3" if SEES_NO_END else "3 images; 4"
    assert f"  decoded   {decoded} failures\n" in out
    assert "  failed    record 1, id 11, byte " in out


def test_a_failed_record_without_a_header_has_no_id(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "a.rec", [image_payload(3, 1.0, JPEG), b"short"])
    assert "  failed    record 1, byte " in im2rec("inspect", path, "--verify", "--workers", "1").out


def test_a_whole_file_passes(tmp_path: Path) -> None:
    path = write_rec(tmp_path / "a.rec", [image_payload(n, 1.0, JPEG) for n in range(3)])
    code, out, _ = im2rec("inspect", path, "--verify", "--workers", "1")

    assert 0 == code
    assert "  decoded   3 images; 0 failures\n" in out
