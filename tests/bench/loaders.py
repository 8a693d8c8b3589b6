"""How fast a DataLoader of PyTorch delivers a RecordIterDataset without workers and with them, in turns.

``make test-torch`` has made the Python that runs it::

    "$(python3 tests/pytorch/environment.py)" tests/bench/loaders.py SOME.rec --data-shape 3,224,224
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from torch.utils.data import DataLoader

from im2rec.torch import RecordIterDataset


def loader(arguments: argparse.Namespace, workers: int) -> Any:
    """Return a loader with *workers* workers that has delivered an epoch already, so that all is warm."""
    given = {"batch_size": arguments.batch_size, "data_shape": arguments.data_shape, "dtype": arguments.dtype}
    ds = RecordIterDataset(arguments.rec, shuffle=True, rand_mirror=True, verbose=False, **given)
    made: Any = DataLoader(ds, batch_size=None, num_workers=workers, persistent_workers=workers > 0)
    rate(made)
    return made


def rate(made: Any) -> float:
    """Return the images a second of one epoch."""
    start = time.perf_counter()
    images = sum(len(data) for data, _ in made)
    return images / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rec")
    parser.add_argument("--data-shape", default="3,224,224")
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    loaders = {workers: loader(arguments, workers) for workers in arguments.workers}
    rates: dict[int, list[float]] = {workers: [] for workers in loaders}
    for _ in range(arguments.rounds):
        for workers, made in loaders.items():
            rates[workers].append(rate(made))
    for workers, found in rates.items():
        sys.stdout.write(f"num_workers={workers}: {statistics.median(found):.0f} images/s\n")


if __name__ == "__main__":
    main()
