"""Laws of ``recover`` over random damage: it delivers frames of its input, and all untouched ones."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from helpers import bounds, image_payload, index_text
from recovery_helpers import JPEG

from im2rec.errors import CorruptRecordError
from im2rec.format.recordio import MAGIC, encode_record
from im2rec.recovery.recover import RecoverOptions, recover
from im2rec.storage.reader import RecordFile


def random_payloads(rng: random.Random) -> list[bytes]:
    """Payloads of images with unique ids, some with magics in their content, some long."""
    payloads = []
    for id_ in rng.sample(range(10_000), rng.randrange(4, 30)):
        content = rng.randbytes(rng.choice((5, 50, 500, 5000)))
        if rng.random() < 0.3:
            at = rng.randrange(len(content))
            content = content[:at] + MAGIC * rng.randrange(1, 3) + content[at:]
        payloads.append(image_payload(id_, rng.choice((1.0, [2.0, 3.0])), JPEG[0] + content + JPEG[1]))
    return payloads


def damaged(rng: random.Random, data: bytes) -> tuple[bytes, int, int]:
    """Return *data* with one range replaced, removed, or with bytes inserted; and the range, in the old file."""
    start = rng.randrange(len(data))
    end = min(len(data), start + rng.choice((0, 1, 8, 100, 3000)))
    junk = rng.randbytes(rng.choice((end - start, end - start, 0, 5, 900)))
    return data[:start] + junk + data[end:], start, end


@pytest.mark.parametrize("seed", range(60))
def test_every_record_that_nobody_touched_comes_out_and_nothing_else_is_called_whole(seed: int) -> None:
    rng = random.Random(seed)
    payloads = random_payloads(rng)
    ids = [int.from_bytes(payload[8:16], "little") for payload in payloads]
    edges = bounds(payloads)
    data, start, end = damaged(rng, b"".join(map(encode_record, payloads)))
    frames = list(map(encode_record, payloads))
    untouched = Counter(
        frames[n] for n in range(len(frames)) if (edges[n + 1] <= start or end <= edges[n]) and frames[n] in data
    )
    with tempfile.TemporaryDirectory() as folder:
        rec, out = Path(folder, "a.rec"), Path(folder, "o.rec")
        rec.write_bytes(data)
        if has_index := rng.random() < 0.5:
            rec.with_suffix(".idx").write_bytes(index_text(edges[:-1], ids))
        try:
            summary = recover(rec, out)
        except CorruptRecordError:
            assert not untouched
            return
        with RecordFile(out) as file:
            found = [encode_record(file.payload(n)) for n in range(len(file))]
            assert [int.from_bytes(frame[16:24], "little") for frame in found] == file.keys.tolist()
            assert file.offsets.tolist() == bounds([file.payload(n) for n in range(len(file))])[:-1]
            assert b"".join(found) == out.read_bytes()
        assert all(frame in data for frame in found)
        assert +(untouched - Counter(found)) == Counter()
        never_were = Counter(found) - Counter(frames)
        in_place = Counter({frame: count for frame, count in never_were.items() if len(frame) in map(len, frames)})
        assert sum((never_were - in_place).values()) <= summary.doubtful
        assert (summary.records, summary.written) == (len(found), len(found))
        assert sum(piece.end - piece.start for piece in summary.damage) == summary.damaged_bytes <= len(data)
        if has_index and summary.lost_kind == "ids":
            delivered = {int.from_bytes(frame[16:24], "little") for frame in found}
            named = [key for piece in summary.damage for key in piece.lost_keys] + summary.unplaced_keys
            assert sorted(named) == sorted(set(ids) - delivered)
            assert len(named) == summary.lost


@pytest.mark.parametrize("seed", range(10))
def test_what_was_recovered_is_whole_and_recovers_to_itself(seed: int) -> None:
    rng = random.Random(seed)
    data, _, _ = damaged(rng, b"".join(map(encode_record, random_payloads(rng))))
    with tempfile.TemporaryDirectory() as folder:
        rec, out, again = (Path(folder, name) for name in ("a.rec", "o.rec", "p.rec"))
        rec.write_bytes(data)
        first = recover(rec, out, RecoverOptions(doubtful="drop"))
        second = recover(out, again)

        assert ([], 0, first.written) == (second.damage, second.doubtful, second.written)
        assert out.read_bytes() == again.read_bytes()
        assert out.with_suffix(".idx").read_bytes() == again.with_suffix(".idx").read_bytes()
