"""Measure the speed of this checkout on this machine, relative to plain work in the same run: `make bench`.

Nothing here passes or fails. The figures are for the README and for comparing two checkouts.
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


def elapsed_s(work: Callable[[], object]) -> float:
    """Return the wall time of one call in seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def median_s(work: Callable[[], object]) -> float:
    """Return the median wall time of ``ROUNDS`` calls in seconds, after one call to warm up."""
    work()
    return statistics.median(elapsed_s(work) for _ in range(ROUNDS))


def record_figures(folder: Path) -> dict[str, float]:
    """Measure opening and scanning a file of many small records."""
    path = folder / "small.rec"
    payload = encode_image_record(IRHeader(0, 1.0, 0), b"\xff\xd8\xff\xe0" + bytes(400))
    with RecordWriter(path) as writer:
        for key in range(RECORDS):
            writer.write(payload, key=key)
    by_index = median_s(lambda: RecordFile(path).close())
    by_scan = median_s(lambda: RecordFile(path, index=False).close())
    inspected = median_s(lambda: survey(path))
    return {
        "opening an index, million records/s": RECORDS / by_index / 1e6,
        "scanning headers, million records/s": RECORDS / by_scan / 1e6,
        "inspect, million records/s": RECORDS / inspected / 1e6,
    }


def packing_figures(folder: Path) -> dict[str, float]:
    """Measure packing copies of the sample images with one worker, relative to decoding and to copying them."""
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
        return median_s(lambda: pack(list_path, root, folder / "out.rec", PackParams(**keys), options))  # type: ignore[arg-type]

    decoding = median_s(lambda: [decode((root / name).read_bytes()) for name in names])
    return {
        "reading the list, million lines/s": len(names)
        / median_s(lambda: sum(1 for _ in ListLines(list_path).entries()))
        / 1e6,
        "pack resize=128, images/s": len(names) / (resized := run(resize=128)),
        "pack resize=128, share of decoding alone": decoding / resized,
        "pack unchanged=1, times copying the files": run(unchanged=1) / median_s(copy_all),
    }


def iterator_figures(folder: Path) -> dict[str, float]:
    """Measure the iterator with two threads, in turns with and relative to full decoding of the same JPEGs."""
    shape, crops = (3, 112, 112), {"rand_crop": 1, "rand_mirror": 1}
    modes: dict[str, dict[str, object]] = {
        "float32": {**crops, "mean_r": 123.68, "std_r": 58.4},
        "uint8": {**crops, "dtype": "uint8"},
        "random resized crop": {"random_resized_crop": 1, "min_random_area": 0.08, "rand_mirror": 1},
        "uint8 of BMPs": {**crops, "dtype": "uint8"},
    }
    recs = {encoding: pack_photos(folder, encoding) for encoding in (".jpg", ".bmp")}
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
        rounds = [{name: elapsed_s(work) for name, work in works.items()} for _ in range(1 + ROUNDS)][1:]
    return {
        f"iterator, {name}, times full decode": statistics.median(
            times["full decode"] / times[name] for times in rounds
        )
        for name in modes
    }


def pack_photos(folder: Path, encoding: str) -> Path:
    """Pack 50 copies of the sample images, 128 pixels on their shorter side, and return the ``.rec``."""
    list_path, rec = folder / f"photos{encoding}.lst", folder / f"photos{encoding}.rec"
    names = sorted(path.relative_to(PHOTOS).as_posix() for path in PHOTOS.rglob("*.jpg")) * 50
    list_path.write_text("".join(f"{n}\t0\t{name}\n" for n, name in enumerate(names)), encoding="utf-8")
    pack(list_path, PHOTOS, rec, PackParams(resize=128, encoding=encoding), PackOptions(workers=2))
    return rec


def main() -> None:
    """Print the figures as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        figures = record_figures(Path(folder)) | packing_figures(Path(folder)) | iterator_figures(Path(folder))
    sys.stdout.write(json.dumps({name: round(value, 3) for name, value in figures.items()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
