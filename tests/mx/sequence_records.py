"""Scenes of random sequences: writing, reading, seeking and pickling, with files that are whole, odd and damaged."""

from __future__ import annotations

import numpy as np
from mx.sequence_reading import RAISES, Reading, Records
from mx.sequence_story import MAGIC, Folder, Name, Story, bytes_text, digest, frame


def some_keys(story: Story, count: int) -> list[int]:
    """Return keys: ordinals, numbers from 1, or any, unsorted and some of them twice."""
    kind = story.number(0, 2)
    if kind < 2:
        return list(range(kind, count + kind))
    return [story.one([story.number(0, 9), story.number(0, 10**6), 2**63 + 5]) for _ in range(count)]


def new_records(story: Story) -> Records:
    """Return records that are not written yet: payloads with keys."""
    name = story.new("f")
    payloads = [story.payload() for _ in range(story.number(1, 8))]
    if sum(map(len, payloads)) > 150_000:
        payloads = [payload[:2000] for payload in payloads]
    return Records(Folder(f"{name}.rec"), Folder(f"{name}.idx"), list(some_keys(story, len(payloads))), payloads)


def written(story: Story, records: Records) -> None:
    """Write *records* through the module, asking and trying this and that on the way; compare the files."""
    writer = story.call("recordio.MXIndexedRecordIO", records.idx, records.rec, "w", name=story.new("writer")).name
    for number, payload in enumerate(records.payloads):
        if story.chance(15):
            records.keys[number] = None
            story.call(f"{writer}.write", payload)
        else:
            key = records.keys[number]
            given = story.one([key, key, str(key), np.uint64(key), key + 0.4 if key < 2**40 else key])
            story.call(f"{writer}.write_idx", given, payload)
        if story.chance(30):
            story.call(f"{writer}.tell")
        if story.chance(15):
            wrong = [("write", "text"), ("write", None), ("write_idx", "x", b""), ("read",)]
            method, *arguments = story.one([*wrong, ("write_idx", None, b""), ("write_idx", 7, "text")])
            story.call(f"{writer}.{method}", *arguments)
    if story.chance(40):
        story.call("python.attribute", Name(writer), story.one(["keys", "idx", "writable"]))
    closed(story, writer)
    story.call("python.file", records.rec)
    story.call("python.file", records.idx)


def closed(story: Story, writer: str) -> None:
    """Close *writer*: once, twice, or by losing it; a closed one writes nothing."""
    if story.chance(20):
        story.call("python.forget", writer)
        return
    story.call(f"{writer}.close")
    if story.chance(30):
        story.call(f"{writer}.close")
    if story.chance(30):
        story.call(f"{writer}.write", b"more")


def writing_and_reading(story: Story) -> None:
    """Write records with an index, and read them in every way."""
    records = new_records(story)
    written(story, records)
    reader = story.call("recordio.MXIndexedRecordIO", records.idx, records.rec, "r", name=story.new("reader")).name
    reading = Reading(story, records, reader)
    reading.some(3, 12)
    if story.chance(40):
        reading.to_the_end()


def without_index(story: Story) -> None:
    """Write records without an index, and read them one after the other."""
    records = new_records(story)
    records.keys = [None] * len(records.payloads)
    writer = story.call("recordio.MXRecordIO", records.rec, "w", name=story.new("writer")).name
    for payload in records.payloads:
        story.call(f"{writer}.write", payload)
    closed(story, writer)
    story.call("python.file", records.rec)
    reading = Reading(
        story,
        records,
        story.call("recordio.MXRecordIO", records.rec, "r", name=story.new("reader")).name,
        indexed=False,
    )
    reading.some(3, 9)
    if story.chance(40):
        reading.to_the_end()


def handmade_index(story: Story) -> None:
    """Read through indexes in any order, of some of the records, with odd but legal lines."""
    records = new_records(story)
    kept = [number for number in range(len(records.keys)) if story.chance(70)] or [0]
    # A key that is there twice must come in file order, as the records of this model do.
    records.keys = [key if number in kept else None for number, key in enumerate(dict.fromkeys(records.keys))] + [
        None
    ] * 8
    records.keys = records.keys[: len(records.payloads)]
    kept = [number for number, key in enumerate(records.keys) if key is not None]
    offsets = records.offsets()
    form = story.one(["{}\t{}\n", "{}\t{}\n", "{}\t{}\r\n", " {} \t {} \n", "{}\t{}\t9\n", "0{}\t{}\n"])
    lines = [form.format(records.keys[number], offsets[number]) for number in story.mixed(kept)]
    text = "".join(lines)
    story.call("python.write", records.rec, b"".join(map(frame, records.payloads)))
    story.call("python.write", records.idx, (text if story.chance(80) else text.rstrip("\r\n")).encode())
    reader = story.call("recordio.MXIndexedRecordIO", records.idx, records.rec, "r", name=story.new("reader")).name
    story.call("python.attribute", Name(reader), "keys")
    Reading(story, records, reader).some(4, 10)


def keys_of_other_types(story: Story) -> None:
    """Write and read keys that are texts or floats."""
    records = new_records(story)
    key_type = story.one([str, float])
    records.keys = [
        story.one(["a", "b c", "ü"]) + str(n) if key_type is str else n + 0.5 for n in range(len(records.keys))
    ]
    writer = story.call(
        "recordio.MXIndexedRecordIO", records.idx, records.rec, "w", key_type, name=story.new("writer")
    ).name
    for key, payload in zip(records.keys, records.payloads, strict=True):
        story.call(f"{writer}.write_idx", key, payload)
    closed(story, writer)
    story.call("python.file", records.idx)
    reader = story.new("reader")
    story.call("recordio.MXIndexedRecordIO", records.idx, records.rec, "r", key_type=key_type, name=reader)
    reading = Reading(story, records, reader)
    reading.look()
    reading.some(2, 6)


def wrong_files(story: Story) -> None:
    """Open what cannot be opened."""
    records = new_records(story)
    story.call("python.write", records.rec, b"".join(map(frame, records.payloads)))
    for _ in range(story.number(1, 3)):
        way = story.number(0, 4)
        if way == 0:
            story.call("recordio.MXRecordIO", records.rec, story.one(["x", "a", "rb", "wb", "r+", None, ""]))
        elif way == 1:
            story.call("recordio.MXRecordIO", Folder("missing.rec"), "r")
        elif way == 2:
            story.call("recordio.MXIndexedRecordIO", Folder("missing.idx"), Folder("missing.rec"), "r")
        elif way == 3:
            story.call("recordio.MXRecordIO", Folder("missing/x.rec"), "w")
        else:
            story.call("python.write", records.idx, story.one([b"x\t0\n", b"1\tx\n", b"1.5\t0\n"]))
            story.call("recordio.MXIndexedRecordIO", records.idx, records.rec, "r")
    index = story.one([b"5 0\n", b"5\t0\n\n", b"\n5\t0\n"])
    story.call("python.write", records.idx, index)
    reader = story.new("reader")
    story.call(
        "recordio.MXIndexedRecordIO",
        records.idx,
        records.rec,
        "r",
        name=reader,
        differs="13.8",
        ours="MXIndexedRecordIO",
    )


def damaged_files(story: Story) -> None:
    """Read records of files that are cut or damaged, whole ones and others."""
    records = new_records(story)
    records.keys = list(range(len(records.payloads)))
    bad = len(records.payloads) - 1
    start, frames = records.offsets()[bad], [frame(payload) for payload in records.payloads]
    index = records.index()
    way = story.one([0, 1, 2] if start else [0, 2])
    differs = ""
    if way == 0:
        # Of less than a part head alone nothing shows what kind of file it is.
        frames[bad] = frames[bad][: story.number(1 if start else min(8, len(frames[bad]) - 1), len(frames[bad]) - 1)]
        differs = "13.3" if ends_behind_a_part(frames[bad]) else ""
    elif way == 1:
        at = story.number(0, 3)
        frames[bad] = frames[bad][:at] + bytes([frames[bad][at] ^ 0x55]) + frames[bad][at + 1 :]
    else:
        frames[bad] = MAGIC + b"\4\0\0\x20some"  # the first of several parts
        differs = "13.3"
    story.call("python.write", records.rec, b"".join(frames))
    story.call("python.write", records.idx, index)
    reader = story.call("recordio.MXIndexedRecordIO", records.idx, records.rec, "r", name=story.new("reader")).name
    story.call(f"{reader}.read_idx", bad, differs=differs, ours=RAISES if differs else "")
    story.call(f"{reader}.reset")
    for key in story.some(records.keys[:-1], 1, 4) if start else []:
        story.call(f"{reader}.read_idx", key)


def wrong_index(story: Story) -> None:
    """Read records through an index with a wrong offset in its last line, or in one more."""
    records = new_records(story)
    # Of clearly different sizes, so that these show which record is which.
    sizes = story.mixed([40 * number for number in range(1, story.number(4, 8))])
    records.payloads = [story.data(size + story.number(1, 20)) for size in sizes]
    records.keys = list(range(len(sizes)))
    data, last = b"".join(map(frame, records.payloads)), len(records.payloads) - 1
    beyond, is_more = len(data) + 4 * story.number(1, 900), story.chance(50)
    offset = beyond if story.chance(50) else records.offsets()[last] + 4
    index = records.index() + b"%d\t%d\n" % (last + 1, offset)
    if not is_more:
        index = records.index().rsplit(b"\t", 1)[0] + b"\t%d\n" % offset
    story.call("python.write", records.rec, data)
    story.call("python.write", records.idx, index)
    reader = story.call("recordio.MXIndexedRecordIO", records.idx, records.rec, "r", name=story.new("reader")).name
    if not is_more:  # the lines before it show which record it means
        story.call(f"{reader}.read_idx", last, differs="13.1", ours=bytes_text(records.payloads[last]))
    elif offset == beyond:
        story.call(f"{reader}.read_idx", last + 1, differs="13.1", ours=RAISES)
    else:
        story.call(f"{reader}.read_idx", last + 1)
    story.call(f"{reader}.reset")
    for key in story.some(records.keys if is_more else records.keys[:-1], 1, 4):
        story.call(f"{reader}.read_idx", key)


def ends_behind_a_part(data: bytes) -> bool:
    """Say whether the beginning of a frame ends behind a part: MXNet takes it for the end of the file."""
    at = 0
    while at < len(data):
        if len(data) < at + 8:
            return False
        length = int.from_bytes(data[at + 4 : at + 8], "little") & 0x1FFFFFFF
        at += 8 + length + -length % 4
    return at == len(data)


def writers_again(story: Story) -> None:
    """Reset or pickle a writer, by which MXNet loses its records."""
    records = new_records(story)
    writer = story.call("recordio.MXIndexedRecordIO", records.idx, records.rec, "w", name=story.new("writer")).name
    for key, payload in zip(records.keys, records.payloads, strict=True):
        story.call(f"{writer}.write_idx", key, payload)
    if story.chance(50):
        story.call(f"{writer}.reset", differs="13.12", ours=RAISES)
    else:
        story.call("python.pickled", Name(writer), name=story.new("copy"), differs="13.12", ours=RAISES)
    story.call(f"{writer}.close")
    for file, data in ((records.rec, b"".join(map(frame, records.payloads))), (records.idx, records.index())):
        story.call("python.file", file, differs="13.12", ours=repr(f"{len(data)} {digest(data)}"))


record_scenes = [
    writing_and_reading,
    writing_and_reading,
    writing_and_reading,
    without_index,
    handmade_index,
    handmade_index,
    keys_of_other_types,
    wrong_files,
    damaged_files,
    damaged_files,
    wrong_index,
    wrong_index,
    writers_again,
]
