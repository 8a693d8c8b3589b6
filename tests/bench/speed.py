"""Speeds of this machine and this checkout, as ratios against plain work measured in the same run: `make bench`.

Nothing here passes or fails; the figures are for the README and for comparing two checkouts.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import functools
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from im2rec.format.irheader import IRHeader, encode_image_record
from im2rec.images.codec import decode
from im2rec.inspection.survey import survey
from im2rec.iterators.image_record import ImageRecordIter
from im2rec.packing.list_reader import ListLines
from im2rec.packing.pack import PackOptions, pack
from im2rec.packing.params import PackParams
from im2rec.storage.reader import RecordFile
from im2rec.storage.writer import RecordWriter

ROUNDS = 5
RECORDS = 200_000
PHOTOS = Path(__file__).parents[2] / "sample_data" / "photos"


def seconds(work: Callable[[], object]) -> float:
    """The wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def median(work: Callable[[], object]) -> float:
    """The median of some calls, after one that is not counted."""
    work()
    return statistics.median(seconds(work) for _ in range(ROUNDS))


def records(folder: Path) -> dict[str, float]:
    """Walking and opening a file of many small records."""
    path = folder / "small.rec"
    payload = encode_image_record(IRHeader(0, 1.0, 0), b"\xff\xd8\xff\xe0" + bytes(400))
    with RecordWriter(path) as writer:
        for key in range(RECORDS):
            writer.write(payload, key=key)
    by_index = median(lambda: RecordFile(path).close())
    by_scan = median(lambda: RecordFile(path, index=False).close())
    whole = median(lambda: survey(path))
    return {
        "opening an index, million records/s": RECORDS / by_index / 1e6,
        "scanning headers, million records/s": RECORDS / by_scan / 1e6,
        "inspect, million records/s": RECORDS / whole / 1e6,
    }


def packing(folder: Path) -> dict[str, float]:
    """Packing copies of the sample images on one worker, against decoding them and against copying them."""
    root, list_path = folder / "photos", folder / "photos.lst"
    shutil.copytree(PHOTOS, root)
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.jpg")) * 20
    list_path.write_text("".join(f"{n}\t0\t{name}\n" for n, name in enumerate(names)), encoding="utf-8")
    copied = folder / "copied.bin"

    def copy_all() -> None:
        with copied.open("wb") as target:
            for name in names:
                target.write((root / name).read_bytes())

    def run(**keys: object) -> float:
        options = PackOptions(workers=1, force=True)
        return median(lambda: pack(list_path, root, folder / "out.rec", PackParams(**keys), options))  # type: ignore[arg-type]

    decoding = median(lambda: [decode((root / name).read_bytes()) for name in names])
    return {
        "reading the list, million lines/s": len(names)
        / median(lambda: sum(1 for _ in ListLines(list_path).entries()))
        / 1e6,
        "pack resize=128, images/s": len(names) / (resized := run(resize=128)),
        "pack resize=128, share of decoding alone": decoding / resized,
        "pack unchanged=1, times copying the files": run(unchanged=1) / median(copy_all),
    }


def feeding(folder: Path) -> dict[str, float]:
    """Batches made by two workers, against decoding the same JPEGs alone on two threads, in turns."""
    shape, crops = (3, 112, 112), {"rand_crop": 1, "rand_mirror": 1}
    modes: dict[str, dict[str, object]] = {
        "float32": {**crops, "mean_r": 123.68, "std_r": 58.4},
        "uint8": {**crops, "dtype": "uint8"},
        "random resized crop": {"random_resized_crop": 1, "min_random_area": 0.08, "rand_mirror": 1},
        "uint8 of BMPs": {**crops, "dtype": "uint8"},
    }
    recs = {encoding: a_rec(folder, encoding) for encoding in (".jpg", ".bmp")}
    with RecordFile(recs[".jpg"]) as records:
        contents = [record.content for record in records]
    halves = contents[::2], contents[1::2]
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(2))
        works: dict[str, Callable[[], object]] = {
            "full decode": lambda: list(pool.map(lambda half: [decode(content) for content in half], halves))
        }
        for name, given in modes.items():
            rec = recs[".bmp" if "BMP" in name else ".jpg"]
            it = ImageRecordIter(
                path_imgrec=str(rec),
                data_shape=shape,
                batch_size=100,
                shuffle=1,
                preprocess_threads=2,
                verbose=0,
                **given,
            )
            works[name] = functools.partial(collections.deque, stack.enter_context(it), 0)
        rounds = [{name: seconds(work) for name, work in works.items()} for _ in range(1 + ROUNDS)][1:]
    return {
        f"feed, {name}, times full decode": statistics.median(round_["full decode"] / round_[name] for round_ in rounds)
        for name in modes
    }


def a_rec(folder: Path, encoding: str) -> Path:
    """The sample images again and again, 128 pixels on their shorter side."""
    list_path, rec = folder / f"feed{encoding}.lst", folder / f"feed{encoding}.rec"
    names = sorted(path.relative_to(PHOTOS).as_posix() for path in PHOTOS.rglob("*.jpg")) * 50
    list_path.write_text("".join(f"{n}\t0\t{name}\n" for n, name in enumerate(names)), encoding="utf-8")
    pack(list_path, PHOTOS, rec, PackParams(resize=128, encoding=encoding), PackOptions(workers=2))
    return rec


def main() -> None:
    """Print the figures as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        figures = records(Path(folder)) | packing(Path(folder)) | feeding(Path(folder))
    sys.stdout.write(json.dumps({name: round(value, 3) for name, value in figures.items()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
