"""Runs in a peer's own Python interpreter and times its iterator, once for each line on stdin.

``python peer_script.py mxnet|dali SETTINGS`` prints a JSON object with the peer's version when it is ready. A line on
stdin holds the seconds to run; after them it prints a JSON object with ``images`` and ``seconds``. *SETTINGS* is a JSON
object: ``params`` under MXNet's names, and ``warm``, the number of batches to take before the clock starts. The script
imports nothing of im2rec, which the other interpreter does not have.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

Take = Callable[[], int]  # takes a batch and returns its number of images
_RESULTS = sys.stdout  # kept, because main() sends what the libraries print to stderr


def mxnet(params: dict[str, Any]) -> tuple[str, Take]:
    """Return the version of MXNet, and a function that takes a batch from its iterator.

    MXNet lowers its decode threads to half the CPUs by itself.
    """
    mx = importlib.import_module("mxnet")
    kind = {"uint8": "ImageRecordUInt8Iter", "int8": "ImageRecordInt8Iter"}.get(params.pop("dtype"), "ImageRecordIter")
    params["data_shape"] = tuple(params["data_shape"])
    it = getattr(mx.io, kind)(verbose=False, **params)

    def take() -> int:
        try:
            batch = it.next()
        except StopIteration:
            it.reset()
            batch = it.next()
        batch.data[0].wait_to_read()
        return int(batch.data[0].shape[0])

    return str(mx.__version__), take


def dali(params: dict[str, Any]) -> tuple[str, Take]:
    """Return the version of DALI, and a function that takes a batch from its MXNet reader on the CPU.

    Unless images are resized first, the decoder that decodes only the crop is used.
    """
    nvidia_dali = importlib.import_module("nvidia.dali")
    fn, types = importlib.import_module("nvidia.dali.fn"), importlib.import_module("nvidia.dali.types")
    definition = importlib.import_module("nvidia.dali.pipeline").pipeline_def
    channels, height, width = params["data_shape"]
    gray = types.GRAY if channels == 1 else types.RGB

    def images(jpegs: Any) -> Any:
        position = [fn.random.uniform(range=[0.0, 1.0]) if params["rand_crop"] else 0.5 for _ in range(2)]
        if params["random_resized_crop"]:
            area = [params["min_random_area"], params["max_random_area"]]
            aspect = [params["min_aspect_ratio"] or 1.0, params["max_aspect_ratio"] or 1.0]
            cropped = fn.decoders.image_random_crop(
                jpegs, device="cpu", output_type=gray, random_area=area, random_aspect_ratio=aspect
            )
            return fn.resize(cropped, size=[height, width])  # antialiased, which is DALI's default
        crop = {"crop": [height, width], "crop_pos_x": position[0], "crop_pos_y": position[1]}
        if params["resize"] > 0:
            whole = fn.decoders.image(jpegs, device="cpu", output_type=gray)
            return fn.crop(fn.resize(whole, resize_shorter=params["resize"]), **crop)
        return fn.decoders.image_crop(jpegs, device="cpu", output_type=gray, **crop)

    def batches() -> tuple[Any, Any]:
        jpegs, labels = fn.readers.mxnet(
            path=[params["path_imgrec"]],
            index_path=[params["path_imgidx"]],
            random_shuffle=params["shuffle"],
            name="reader",
        )
        mirror = fn.random.coin_flip() if params["rand_mirror"] else int(params["mirror"])
        output = {"dtype": types.UINT8}
        if params["dtype"] != "uint8":
            mean, std = ([params[f"{name}_{color}"] for color in "rgb"[:channels]] for name in ("mean", "std"))
            output = {"dtype": types.FLOAT, "mean": mean, "std": [value / params["scale"] for value in std]}
        return fn.crop_mirror_normalize(images(jpegs), output_layout="CHW", mirror=mirror, **output), labels

    size = params["batch_size"]
    make = definition(
        batch_size=size,
        num_threads=params["preprocess_threads"],
        device_id=None,
        prefetch_queue_depth=params["prefetch_buffer"],
    )
    pipe = make(batches)()
    pipe.build()

    def take() -> int:
        pipe.run()
        return int(size)

    return str(nvidia_dali.__version__), take


PEERS = {"mxnet": mxnet, "dali": dali}


def print_result(result: dict[str, Any]) -> None:
    """Print *result* as one line of JSON and flush it."""
    _RESULTS.write(json.dumps(result) + "\n")
    _RESULTS.flush()


def main() -> None:
    """Make the iterator, then time it for each line on stdin."""
    sys.stdout = sys.stderr
    name, settings = sys.argv[1], json.loads(sys.argv[2])
    version, take = PEERS[name](settings["params"])
    take()
    print_result({"version": version})
    for line in sys.stdin:
        for _ in range(settings["warm"]):  # prefetched before this run: they do not measure how fast batches are made
            take()
        start, images, seconds = time.perf_counter(), 0, float(line)
        while time.perf_counter() < start + seconds:
            images += take()
        print_result({"images": images, "seconds": time.perf_counter() - start})


if __name__ == "__main__":
    main()
