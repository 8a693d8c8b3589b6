"""Random packs for ``torture.py``: images, a list, keys and options, and what an undisturbed run makes of them."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from image_helpers import encoded

from im2rec.packing.pack import PackOptions, pack, part_path
from im2rec.packing.params import PackParams
from im2rec.params import from_words
from im2rec.storage.companions import index_to_write
from im2rec.storage.digest import digest_path

CHECKOUT = Path(__file__).parents[2]
DEADLINE_S = 180.0  # of one run, on a loaded machine; a run that hangs is wrong
SEGMENTS = 16  # of a list; each has image files of its own, so that those that are packed can be spoilt
BAD_FILES = {"text.jpg": b"no image at all", "empty.jpg": b""}
BAD_LINES = ["nonsense", "{id}\tnot-a-label\ts0/0.jpg", "{id}\t1"]
# The summary of a run that went on differs from that of an undisturbed one in these, and in how it went on.
TIMES = ("seconds", "images_per_s", "workers", "kernel", "jpeg_decoder", "resumed_line")
UNFINISHED = (".im2rec-partial", ".im2rec-journal", ".tmp")


@dataclass(frozen=True)
class Sizes:
    """Bounds of a random pack: bytes of its ``.rec``, and lines of its list."""

    least_bytes: int = 8 << 20
    most_bytes: int = 20 << 20
    least_lines: int = 150
    most_lines: int = 2500


SMALL = Sizes(least_bytes=3 << 20, most_bytes=4 << 20, most_lines=400)


@dataclass(frozen=True)
class Names:
    """The names of a pack's files in the folder ``out``."""

    rec: str
    idx: str
    digest: str

    @classmethod
    def of(cls, rec: Path) -> Names:
        return cls(rec.name, index_to_write(rec).name, digest_path(rec).name)


@dataclass(frozen=True)
class RandomPack:
    """A folder with ``list.lst``, ``root`` and ``out``, and the *words* of ``im2rec`` that are run in copies of it.

    *segments* is the segment of each id of the list, *old* are the files in ``out`` that the run replaces.
    """

    folder: Path
    words: list[str]
    names: Names
    segments: dict[int, int]
    old: dict[str, bytes]


@dataclass(frozen=True)
class Reference:
    """The end of an undisturbed run by one worker: exit code, summary, and the files in ``out``.

    *ends* has the size of the ``.rec`` behind the last record of each segment, *offsets* that behind each record.
    """

    code: int
    summary: dict[str, Any]
    files: dict[str, bytes]
    ends: dict[int, int]
    offsets: list[int]

    @property
    def size(self) -> int:
        return self.offsets[-1]

    @property
    def images(self) -> int:
        return len(self.offsets) - 1


def files_in(out: Path) -> dict[str, bytes]:
    """Return the files in *out*, by name. The description of a part has the path of the list, other in each copy."""
    here = str(out.resolve().parent).encode()
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    return {name: data.replace(here, b"") if name.endswith(".json") else data for name, data in files.items()}


# Keys and options.


@dataclass(frozen=True)
class _Drawn:
    """The drawn keys and options, and the side of an image before and after."""

    keys: list[str]
    options: list[str]
    labels: int
    file_side: int
    side: int
    encoding: str
    quality: int


def _draw(rng: random.Random) -> _Drawn:
    side, labels = rng.randint(60, 200), rng.choice([1, 1, 1, 2, 4])
    unchanged = rng.random() < 0.2
    encoding = ".png" if rng.random() < 0.2 and not unchanged else ".jpg"
    quality, file_side, options = 95, side, ["--max-bad", rng.choice(["60%", "100%"])]
    keys = ["pack_label=1"] if labels > 1 or rng.random() < 0.2 else []
    keys += [f"label_width={labels}"] if rng.random() < 0.3 else []
    if unchanged:
        keys.append("unchanged=1")
        options += ["--verify"] if rng.random() < 0.3 else []
    else:
        if rng.random() < 0.4:
            keys.append(f"quality={(quality := rng.randint(60, 100))}")
        if rng.random() < 0.6:
            file_side = side * rng.randint(5, 15) // 10
            keys.append(f"resize={side}")
        keys += [f"encoding={encoding}"] if encoding == ".png" else []
        keys += ["center_crop=1"] if rng.random() < 0.2 else []
        keys += [f"inter_method={rng.choice([0, 2, 3, 4, 9, 10])}"] if rng.random() < 0.3 else []
        keys += [rng.choice(["color=0", "color=-1"])] if rng.random() < 0.15 else []
    if rng.random() < 0.15:
        keys += [f"nsplit={(parts := rng.randint(2, 3))}", f"part={rng.randrange(parts)}"]
    options += ["--digest"] if rng.random() < 0.3 else []
    return _Drawn(keys, options, labels, file_side, side, encoding, quality)


# Images.


def _noise(rng: random.Random, height: int, width: int, channels: int = 3) -> np.ndarray[Any, Any]:
    return np.random.default_rng(rng.getrandbits(32)).integers(0, 256, (height, width, channels), dtype=np.uint8)


def _write_images(rng: random.Random, root: Path, side: int) -> list[list[str]]:
    """Write the image files of all segments, and those that are bad; return the names by segment."""
    names = []
    for segment in range(SEGMENTS):
        (root / f"s{segment}").mkdir(parents=True)
        names.append([_write_image(rng, root, f"s{segment}/{number}", side) for number in range(3)])
    for name, content in BAD_FILES.items():
        (root / name).write_bytes(content)
    whole = (root / names[0][0]).read_bytes()
    (root / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    return names


def _write_image(rng: random.Random, root: Path, stem: str, side: int) -> str:
    height, width = side, side + rng.randint(0, side // 3)
    pixels = _noise(rng, *rng.choice([(height, width), (width, height)]), rng.choice([1, 3, 3, 3, 3]))
    if rng.random() < 0.1:
        name, content = f"{stem}.png", encoded(pixels, "PNG", compress_level=1)
    else:
        options = {"quality": rng.choice([80, 95]), "progressive": rng.random() < 0.1}
        name, content = f"{stem}.jpg", encoded(pixels, "JPEG", **options)
    (root / name).write_bytes(content)
    return name


# The list.


def _lines(
    rng: random.Random, count: int, labels: int, images: list[list[str]], bad: float
) -> Iterator[tuple[str, int, int]]:
    """Yield the text, the id and the segment of *count* lines, of which the share *bad* is bad."""
    missing = ["missing.jpg", "s0/no/where.jpg", *BAD_FILES, "cut.jpg"]
    ids = rng.sample(range(10 * count), count) if rng.random() < 0.5 else list(range(count))
    for number, id_ in enumerate(ids):
        segment = number * SEGMENTS // count
        path = rng.choice(images[segment])
        if rng.random() < bad:
            if rng.random() < 0.2:
                yield rng.choice(BAD_LINES).format(id=id_) + "\n", id_, segment
                continue
            path = rng.choice(missing)
        label = "\t".join(str(rng.randrange(1000) / 4) for _ in range(labels))
        yield f"{id_}\t{label}\t{path}\n", id_, segment


def _bytes_of_one(rng: random.Random, drawn: _Drawn) -> int:
    pixels = _noise(rng, drawn.side, drawn.side + drawn.side // 6)
    if drawn.encoding == ".png":
        return pixels.size
    return len(encoded(pixels, "JPEG", quality=drawn.quality))


def make_pack(rng: random.Random, folder: Path, sizes: Sizes, *more: str, plain: bool = False) -> RandomPack:
    """Make a random pack in the new *folder*; *more* are words of its command, *plain* is one without drawn keys."""
    drawn = _Drawn([], ["--max-bad", "60%"], 1, 90, 90, ".jpg", 95) if plain else _draw(rng)
    out = folder / "out"
    out.mkdir(parents=True)
    images = _write_images(rng, folder / "root", drawn.file_side)
    params = from_words(PackParams, drawn.keys)
    wanted = params.nsplit * rng.randint(sizes.least_bytes, sizes.most_bytes)
    count = min(max(wanted // _bytes_of_one(rng, drawn), sizes.least_lines), params.nsplit * sizes.most_lines)
    bad = 0.1 if plain else rng.choice([0.0, 0.02, 0.1])
    lines = list(_lines(rng, count, drawn.labels, images, bad))
    (folder / "list.lst").write_text("".join(text for text, _, _ in lines), encoding="utf-8")
    if not plain and rng.random() < 0.3:
        (folder / "list.classes.txt").write_text("0\tcat\n1\tdog\n", encoding="utf-8")
    options = [*drawn.options, *more]
    if "--force" not in options and not plain and rng.random() < 0.25:
        options.append("--force")
    rec = part_path(out / "o.rec", params)
    if "--force" in options:
        _write_old(folder, rec)
    words = ["pack", "list.lst", "root", "out/o.rec", *drawn.keys, *options]
    return RandomPack(folder, words, Names.of(rec), {id_: segment for _, id_, segment in lines}, files_in(out))


def _write_old(folder: Path, rec: Path) -> None:
    """Write an older pair under the final names, with a digest, and with a report of bad images."""
    old = folder / "old.lst"
    old.write_text("".join(f"{id_}\t0\ts{id_ % SEGMENTS}/0.jpg\n" for id_ in range(20)) + "99\t0\tgone.jpg\n")
    names = Names.of(rec)
    made = rec.with_name("older.rec")
    pack(old, folder / "root", made, PackParams(unchanged=True), PackOptions(workers=1, digest=True))
    made.rename(rec)
    made.with_suffix(".idx").rename(rec.with_name(names.idx))
    digest_path(made).rename(rec.with_name(names.digest))
    for rest in rec.parent.glob("older*"):
        rest.rename(rest.with_name(rest.name.replace("older.rec", rec.name, 1)))
    old.unlink()


# The undisturbed run.


def environment() -> dict[str, str]:
    """Return the environment of a run: im2rec is imported from this checkout."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))}


def copied(made: RandomPack, folder: Path) -> Path:
    """Return the new *folder*, a copy of all that *made* starts from."""
    shutil.copytree(made.folder, folder)
    return folder


def summary_of(text: str) -> dict[str, Any]:
    """Return the object that ``--json`` printed, without times; it is empty if *text* is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return {key: value for key, value in found.items() if key not in TIMES}


def make_reference(made: RandomPack, folder: Path) -> Reference:
    """Run *made* undisturbed, by one worker, in the new *folder*."""
    line = [sys.executable, "-m", "im2rec", *made.words, "--workers", "1", "--json", "-q"]
    options: dict[str, Any] = {"cwd": copied(made, folder), "env": environment(), "timeout": DEADLINE_S}
    done = subprocess.run(line, capture_output=True, text=True, check=False, **options)
    if done.returncode not in (0, 3):
        raise RuntimeError(f"the undisturbed run of {made.words} ended with {done.returncode}: {done.stderr}")
    files = files_in(folder / "out")
    pairs = [line.split() for line in files[made.names.idx].decode().splitlines()]
    keys, offsets = [int(key) for key, _ in pairs], [int(offset) for _, offset in pairs]
    size = len(files[made.names.rec])
    ends = {made.segments[key]: end for key, end in zip(keys, [*offsets[1:], size], strict=True)}
    shutil.rmtree(folder)
    return Reference(done.returncode, summary_of(done.stdout), files, ends, [*offsets, size])


def spoil(root: Path, segment: int) -> None:
    """Zero the image files of *segment* without a change of size or time: to pack them again gives other bytes."""
    for path in (root / f"s{segment}").iterdir():
        status = path.stat()
        path.write_bytes(bytes(status.st_size))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


# Verdicts.


def partial_size(out: Path, name: str) -> int:
    """Return the size of the unfinished ``.rec``, 0 if there is none."""
    sizes = [0]
    for entry in os.scandir(out):
        if (
            entry.name.startswith(name)
            and entry.name.endswith((".im2rec-partial", ".tmp"))
            and ".bad" not in entry.name
        ):
            try:
                sizes.append(entry.stat().st_size)
            except FileNotFoundError:  # renamed meanwhile
                continue
    return max(sizes)


def wrong_between(made: RandomPack, reference: Reference, out: Path) -> list[str]:
    """Return what is wrong in *out* after a kill: the final names are those of the old files, of the new, or none."""
    found, problems = files_in(out), []
    states = {}
    for name in (made.names.rec, made.names.idx, made.names.digest):
        content = found.get(name)
        old, new = content == made.old.get(name), content == reference.files.get(name)
        states[name] = "none" if content is None else "old" if old else "new" if new else "neither"
    rec = states[made.names.rec]
    for name, state in states.items():
        if state not in ("none", rec) or state == "neither":
            problems.append(f"{name} is {state}, and {made.names.rec} is {rec}")
    others = sorted(found.keys() - made.old.keys() - reference.files.keys())
    problems += [f"{name} is no file of this run" for name in others if not name.endswith(UNFINISHED)]
    return problems


def wrong_at_end(reference: Reference, out: Path, code: int, summary: dict[str, Any]) -> list[str]:
    """Return how the end of a run differs from that of the undisturbed one."""
    found = files_in(out)
    problems = [f"{name} is missing" for name in sorted(reference.files.keys() - found.keys())]
    problems += [f"{name} is left over" for name in sorted(found.keys() - reference.files.keys())]
    for name in sorted(found.keys() & reference.files.keys()):
        if found[name] != reference.files[name]:
            pairs = enumerate(zip(found[name], reference.files[name], strict=False))
            at = next(
                (at for at, (one, other) in pairs if one != other), min(len(found[name]), len(reference.files[name]))
            )
            problems.append(
                f"{name} has {len(found[name])} bytes, not {len(reference.files[name])}, other from {at} on"
            )
    if code != reference.code:
        problems.append(f"exit code {code}, not {reference.code}")
    for key, value in reference.summary.items():
        if key != "resumed" and key in summary and _compared(summary[key]) != _compared(value):
            problems.append(f"the summary has {key} {summary[key]!r}, not {value!r}")
    return problems


def _compared(value: Any) -> Any:
    """Return *value* without class names, which the run before may have written already."""
    return [item for item in value if not str(item).endswith(".classes.txt")] if isinstance(value, list) else value
