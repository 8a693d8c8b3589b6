"""What runs in a peer's own Python: one feed, timed whenever a line on stdin says for how many seconds.

``python peer_script.py mxnet|dali WORDS`` prints a JSON object with the peer's version when it is ready, then one for
each line: how many images in how many seconds. *WORDS* is a JSON object: ``params`` of MXNet's names, and ``warm``
batches that are taken before the clock starts. Nothing of im2rec is imported.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

Take = Callable[[], int]  # take a batch: how many images were made for it
_TOLD = sys.stdout  # the libraries print what they like: to stderr


def mxnet(params: dict[str, Any]) -> tuple[str, Take]:
    """MXNet's iterator; it lowers its decode threads to half the CPUs by itself."""
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
    """DALI's MXNet reader on the CPU, with the decoder that crops where there is nothing to resize before it."""
    nvidia_dali = importlib.import_module("nvidia.dali")
    fn, types = importlib.import_module("nvidia.dali.fn"), importlib.import_module("nvidia.dali.types")
    definition = importlib.import_module("nvidia.dali.pipeline").pipeline_def
    channels, height, width = params["data_shape"]
    gray = types.GRAY if channels == 1 else types.RGB

    def images(jpegs: Any) -> Any:
        place = [fn.random.uniform(range=[0.0, 1.0]) if params["rand_crop"] else 0.5 for _ in range(2)]
        if params["random_resized_crop"]:
            area = [params["min_random_area"], params["max_random_area"]]
            aspect = [params["min_aspect_ratio"] or 1.0, params["max_aspect_ratio"] or 1.0]
            cut = fn.decoders.image_random_crop(
                jpegs, device="cpu", output_type=gray, random_area=area, random_aspect_ratio=aspect
            )
            return fn.resize(cut, size=[height, width])  # antialiased, which is its default
        crop = {"crop": [height, width], "crop_pos_x": place[0], "crop_pos_y": place[1]}
        if params["resize"] > 0:
            whole = fn.decoders.image(jpegs, device="cpu", output_type=gray)
            return fn.crop(fn.resize(whole, resize_shorter=params["resize"]), **crop)
        return fn.decoders.image_crop(jpegs, device="cpu", output_type=gray, **crop)

    def feed() -> tuple[Any, Any]:
        jpegs, labels = fn.readers.mxnet(
            path=[params["path_imgrec"]],
            index_path=[params["path_imgidx"]],
            random_shuffle=params["shuffle"],
            name="reader",
        )
        mirror = fn.random.coin_flip() if params["rand_mirror"] else int(params["mirror"])
        last = {"dtype": types.UINT8}
        if params["dtype"] != "uint8":
            mean, std = ([params[f"{name}_{color}"] for color in "rgb"[:channels]] for name in ("mean", "std"))
            last = {"dtype": types.FLOAT, "mean": mean, "std": [value / params["scale"] for value in std]}
        return fn.crop_mirror_normalize(images(jpegs), output_layout="CHW", mirror=mirror, **last), labels

    size = params["batch_size"]
    make = definition(
        batch_size=size,
        num_threads=params["preprocess_threads"],
        device_id=None,
        prefetch_queue_depth=params["prefetch_buffer"],
    )
    pipe = make(feed)()
    pipe.build()

    def take() -> int:
        pipe.run()
        return int(size)

    return str(nvidia_dali.__version__), take


PEERS = {"mxnet": mxnet, "dali": dali}


def tell(found: dict[str, Any]) -> None:
    """Print one JSON object, at once."""
    _TOLD.write(json.dumps(found) + "\n")
    _TOLD.flush()


def main() -> None:
    """Make the feed, then time it as often as asked."""
    sys.stdout = sys.stderr
    name, words = sys.argv[1], json.loads(sys.argv[2])
    version, take = PEERS[name](words["params"])
    take()
    tell({"version": version})
    for line in sys.stdin:
        for _ in range(words["warm"]):  # made while nobody asked: no measure of how fast they are made
            take()
        start, images, seconds = time.perf_counter(), 0, float(line)
        while time.perf_counter() < start + seconds:
            images += take()
        tell({"images": images, "seconds": time.perf_counter() - start})


if __name__ == "__main__":
    main()
