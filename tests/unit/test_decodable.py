"""``select --decodable``: what cannot be decoded is left out, by the judgement of ``inspect --verify``, and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from face_set_helpers import FACE, face_set_of, header, images, ranges, written
from helpers import image_payload, message_of, write_rec
from image_helpers import encoded, texture

import im2rec
from im2rec import process_pool
from im2rec.errors import ParameterError
from im2rec.format.irheader import decode_image_record
from im2rec.inspection.survey import survey
from im2rec.inspection.verify import verify
from im2rec.rewriting.select import select
from im2rec.rewriting.select_report import SelectSummary
from im2rec.rewriting.selected_set import SelectOptions

JPEG, PNG = encoded(texture(), quality=90), encoded(texture(), "PNG")
CONTENTS = {
    10: JPEG,
    11: JPEG[:-40],
    12: b"no image",
    13: JPEG[:-2],  # a harmless flaw, where the decoder takes it for one
    14: PNG,
    15: b"",
    16: PNG[: len(PNG) // 2],
    17: JPEG,
}


def a_set(path: Path, *more: bytes) -> Path:
    payloads = [image_payload(id_, float(id_ % 2), content) for id_, content in CONTENTS.items()]
    return write_rec(path, [*payloads, *more], keys=[*CONTENTS, *range(100, 100 + len(more))])


def decodable(rec: Path, out: Path, *, dry_run: bool = False, **options: Any) -> SelectSummary:
    return select(rec, out, SelectOptions(decodable=True, **{"workers": 1, **options}), dry_run=dry_run)


def records(path: Path) -> dict[int, bytes]:
    with im2rec.open(path, damaged="skip") as rec:
        return {int(rec.keys[ordinal]): rec.payload(int(ordinal)) for ordinal in rec.ordinals}


@pytest.mark.parametrize("workers", [1, 2])
def test_the_new_file_verifies_without_failure_and_has_all_others_byte_for_byte(tmp_path: Path, workers: int) -> None:
    rec, out = a_set(tmp_path / "ä b.rec"), tmp_path / "o.rec"
    found = verify(rec, workers=1)
    summary = decodable(rec, out, workers=workers)

    after = verify(out, workers=1)
    assert (found.decoded, 0, [], found.flaws) == (after.decoded, after.without_image, after.failures, after.flaws)
    bad = {failure.id for failure in found.failures}
    assert {11, 12, 16} <= bad
    assert {key: payload for key, payload in records(rec).items() if key not in {*bad, 15}} == records(out)
    assert summary.failures == found.failures
    assert {"that cannot be decoded": len(bad)} == summary.not_selected
    assert len(bad) == sum((summary.not_decoded or {}).values())
    assert {"without an image": 1} == summary.left_out


def test_a_set_of_sound_images_is_copied_whole(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", [image_payload(row, 0.0, JPEG) for row in range(3)])
    summary = decodable(rec, tmp_path / "o.rec")

    assert ({}, [], {}) == (summary.not_decoded, summary.failures, summary.not_selected)
    assert rec.read_bytes() == (tmp_path / "o.rec").read_bytes()
    assert select(rec, tmp_path / "p.rec").not_decoded is None


def test_a_record_too_short_for_a_header_is_left_out_as_asked_for(tmp_path: Path) -> None:
    rec = a_set(tmp_path / "a.rec", b"short")

    summary = decodable(rec, tmp_path / "o.rec")
    assert ({}, 1) == (summary.problem_records, summary.left_out["too short for an image header"])
    assert select(rec, tmp_path / "p.rec").problem_records


def test_images_that_the_other_filters_leave_out_are_not_decoded(tmp_path: Path) -> None:
    summary = decodable(a_set(tmp_path / "a.rec"), tmp_path / "o.rec", dropped=np.array([11, 12], np.uint64))

    assert 2 == summary.not_selected["in the list of those to drop"]
    assert {16} <= {failure.id for failure in summary.failures} <= {13, 16}


def test_a_sample_is_drawn_from_what_can_be_decoded(tmp_path: Path) -> None:
    rec = a_set(tmp_path / "a.rec")
    for seed in range(8):
        summary = select(rec, tmp_path / f"{seed}.rec", SelectOptions(decodable=True, workers=1, sample="3", seed=seed))
        assert (3, []) == (summary.images, verify(tmp_path / f"{seed}.rec", workers=1).failures)


def test_an_image_above_the_limit_of_pixels_is_left_out(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", [image_payload(row, 0.0, encoded(texture(8 * row, 8))) for row in range(1, 4)])
    summary = decodable(rec, tmp_path / "o.rec", max_pixels=128)

    assert [3] == [failure.id for failure in summary.failures]
    assert 2 == summary.images


def test_a_dry_run_counts_the_same_and_writes_nothing(tmp_path: Path) -> None:
    rec = a_set(tmp_path / "a.rec")
    dry = decodable(rec, tmp_path / "o.rec", dry_run=True)

    assert not (tmp_path / "o.rec").exists()
    real = decodable(rec, tmp_path / "o.rec")
    assert (dry.not_selected, dry.failures, dry.bytes_out) == (real.not_selected, real.failures, real.bytes_out)


def test_of_a_damaged_file_all_whole_records_that_decode_are_taken(tmp_path: Path) -> None:
    rec = a_set(tmp_path / "a.rec")
    rec.write_bytes(b"????" + rec.read_bytes()[4:])
    whole = records(rec)
    summary = decodable(rec, tmp_path / "o.rec")

    assert (1, 1) == (summary.damaged_ranges, summary.lost)
    bad = {failure.id for failure in summary.failures}
    assert {key: whole[key] for key in {14, 17} | ({13} - bad)} == records(tmp_path / "o.rec")


def test_damage_that_only_reading_shows_is_found_as_damage(tmp_path: Path) -> None:
    # The length words are right, and the padding behind the third of the contents is not zero.
    contents = [PNG + b"x" * n for n in range(4)]
    rec = write_rec(tmp_path / "a.rec", [image_payload(row, 0.0, content) for row, content in enumerate(contents)])
    row = next(n for n in range(4) if (24 + len(contents[n])) % 4 == 3)
    data = bytearray(rec.read_bytes())
    with im2rec.open(rec) as opened:
        data[int(opened.offsets[row]) + 8 + 24 + len(contents[row])] = 7
    rec.write_bytes(data)
    summary = decodable(rec, tmp_path / "o.rec")

    assert 1 == summary.damaged_ranges
    assert sorted({0, 1, 2, 3} - {row}) == list(records(tmp_path / "o.rec"))


def test_a_face_set_gets_a_new_header_and_new_identity_records(tmp_path: Path) -> None:
    rows = images(0, 0, 0, 1, 1, 2)
    rows[2] = (3, 0.0, FACE[:-40])
    rows[5] = (6, 2.0, b"no image")
    rec = written(tmp_path / "in", [header(7, 10), *rows, *ranges(7, (1, 4), (4, 6), (6, 7))], prop="3,16,16")
    summary = decodable(rec, tmp_path / "out" / "train.rec")

    assert (4, 2, True) == (summary.images, summary.classes, summary.header)
    assert not survey(tmp_path / "out" / "train.rec", profile=True).problems
    with im2rec.open(tmp_path / "out" / "train.rec") as made:
        assert 2 == len(face_set_of(made).identities)
    assert "2,16,16" == (tmp_path / "out" / "property").read_text().strip()


class DyingOf:
    """A worker that dies of the record *ordinal*, and else works in this process."""

    def __init__(self, work: Any, ordinal: int) -> None:
        self._work, self._ordinal = work, ordinal

    def call(self, batch: Any, _timeout_s: float | None = None) -> tuple[bool, Any]:
        if any(ordinal == self._ordinal for ordinal, _ in batch):
            raise EOFError
        return True, self._work(batch)

    def exitcode(self) -> int:
        return -11

    def end(self) -> None:
        pass


def test_an_image_that_kills_the_decoder_is_left_out_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_pool, "start_worker", lambda work: DyingOf(work, 1))
    rec = write_rec(tmp_path / "a.rec", [image_payload(10 + row, 0.0, JPEG) for row in range(4)])
    summary = decodable(rec, tmp_path / "o.rec", workers=2)

    assert {"killed its process": 1} == summary.not_decoded
    (failure,) = summary.failures
    assert (1, 11, "its process died, by SIGSEGV: a crash in an image library") == (
        failure.record,
        failure.id,
        failure.detail,
    )
    assert [10, 12, 13] == [decode_image_record(p)[0].id for p in records(summary.out).values()]
    assert summary.failures == verify(rec, workers=2).failures


def test_a_set_without_an_image_that_decodes_is_an_error(tmp_path: Path) -> None:
    rec = write_rec(tmp_path / "a.rec", [image_payload(0, 0.0, b"no image")])

    assert f"{rec}: no image that passes the other filters can be decoded (inspect --verify says why)" == message_of(
        decodable, rec, tmp_path / "o.rec"
    )
    assert ["a.idx", "a.rec"] == sorted(path.name for path in tmp_path.iterdir())


@pytest.mark.parametrize("option", ["workers", "max_pixels"])
def test_options_of_the_decoding_alone_are_refused(option: str) -> None:
    with pytest.raises(ParameterError, match=f"--{option.replace('_', '-')} is for --decodable"):
        SelectOptions(**{option: 3})  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match=f"{option}=0 must be 1 or more"):
        SelectOptions(decodable=True, **{option: 0})  # type: ignore[arg-type]
