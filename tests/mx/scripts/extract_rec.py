"""Write the images of a training set as files, in a folder for each class."""

import argparse
import numbers
import os
from multiprocessing import get_context

import cv2
import mxnet as mx
from mxnet.recordio import unpack, unpack_img


def extract(reader, keys, out, decode):
    for key in keys:
        record = reader.read_idx(key)
        header, content = unpack(record)
        label = header.label if isinstance(header.label, numbers.Number) else header.label[0]
        folder = os.path.join(out, str(int(label)))
        os.makedirs(folder, exist_ok=True)
        if decode:
            _, image = unpack_img(record)
            cv2.imwrite(os.path.join(folder, f"{header.id}.bmp"), image)
        else:
            with open(os.path.join(folder, f"{header.id}.jpg"), "wb") as file:
                file.write(content)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("out")
    parser.add_argument("--decode", action="store_true")
    parser.add_argument("--context", default="fork")
    args = parser.parse_args()
    reader = mx.recordio.MXIndexedRecordIO(
        os.path.join(args.folder, "train.idx"), os.path.join(args.folder, "train.rec"), "r"
    )
    header, _ = unpack(reader.read_idx(reader.keys[-1] if reader.keys[-1] == 0 else 0))
    keys = list(range(1, int(header.label[0]))) if header.flag > 0 else list(reader.keys)
    context = get_context(args.context)
    jobs = [context.Process(target=extract, args=(reader, keys[n::2], args.out, args.decode)) for n in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
        assert job.exitcode == 0
    extract(reader, keys[:1], args.out, args.decode)  # the reader of this process still reads
    print("extracted", len(keys), "images")


if __name__ == "__main__":
    main()
