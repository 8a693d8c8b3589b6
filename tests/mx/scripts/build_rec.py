"""Build train.rec, train.idx and property from a folder that holds a folder of images for each person.

Records are numbered from 1, person after person; behind them come a record for each person, with the range of its
images, and record 0, with the range of the images and that of the persons.
"""

import argparse
import os
from multiprocessing import get_context

import cv2
import mxnet as mx


def read_list(root):
    """Return (number, path, label) of each image, and the range of numbers of each person."""
    images, persons = [], []
    for label, person in enumerate(sorted(os.listdir(root))):
        first = len(images) + 1
        for name in sorted(os.listdir(os.path.join(root, person))):
            images.append((len(images) + 1, os.path.join(root, person, name), label))
        persons.append((first, len(images) + 1))
    return images, persons


def read_worker(tasks, packed, encode):
    for number, path, label in iter(tasks.get, None):
        header = mx.recordio.IRHeader(0, label, number, 0)
        if encode:
            record = mx.recordio.pack_img(header, cv2.imread(path), quality=95, img_fmt=".jpg")
        else:
            with open(path, "rb") as file:
                record = mx.recordio.pack(header, file.read())
        packed.put((number, record))
    packed.put(None)


def write_worker(packed, out, persons, workers):
    writer = mx.recordio.MXIndexedRecordIO(os.path.join(out, "train.idx"), os.path.join(out, "train.rec"), "w")
    waiting, number = {}, 1
    while workers or waiting:
        if number in waiting:
            writer.write_idx(number, waiting.pop(number))
            number += 1
            continue
        item = packed.get()
        if item is None:
            workers -= 1
        else:
            waiting[item[0]] = item[1]
    first_person = number
    for limits in persons:
        writer.write_idx(number, mx.recordio.pack(mx.recordio.IRHeader(1, limits, number, 0), b""))
        number += 1
    header = mx.recordio.IRHeader(1, (float(first_person), float(number)), 0, 0)
    writer.write_idx(0, mx.recordio.pack(header, b""))
    writer.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("out")
    parser.add_argument("--encode", action="store_true")
    parser.add_argument("--context", default="fork")
    args = parser.parse_args()
    context = get_context(args.context)
    images, persons = read_list(args.root)
    os.makedirs(args.out)
    tasks, packed = context.Queue(), context.Queue()
    readers = [context.Process(target=read_worker, args=(tasks, packed, args.encode)) for _ in range(2)]
    writer = context.Process(target=write_worker, args=(packed, args.out, persons, len(readers)))
    for process in [*readers, writer]:
        process.start()
    for item in [*images, *[None] * len(readers)]:
        tasks.put(item)
    for process in [*readers, writer]:
        process.join()
        assert process.exitcode == 0
    with open(os.path.join(args.out, "property"), "w") as file:
        file.write(f"{len(persons)},112,112")
    print(len(images), "images of", len(persons), "persons")


if __name__ == "__main__":
    main()
