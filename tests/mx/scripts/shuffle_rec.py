"""Write the images of a training set in random order to another one, with new numbers and without its header."""

import argparse
import multiprocessing
import os
import random

from mxnet import recordio

reader = None


def open_reader(folder):
    global reader
    reader = recordio.MXIndexedRecordIO(os.path.join(folder, "train.idx"), os.path.join(folder, "train.rec"), "r")


def read(key):
    return key, reader.read_idx(key)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--context", default="fork")
    args = parser.parse_args()
    open_reader(args.folder)
    header, _ = recordio.unpack(reader.read_idx(0))
    assert header.flag > 0
    keys = list(range(1, int(header.label[0])))
    random.Random(args.seed).shuffle(keys)
    os.makedirs(args.out)
    writer = recordio.MXIndexedRecordIO(os.path.join(args.out, "train.idx"), os.path.join(args.out, "train.rec"), "w")
    context = multiprocessing.get_context(args.context)
    with context.Pool(2, initializer=open_reader, initargs=(args.folder,)) as pool:
        for number, (key, record) in enumerate(pool.imap(read, keys)):
            old, content = recordio.unpack(record)
            assert old.id == key
            writer.write_idx(number, recordio.pack(recordio.IRHeader(0, old.label, number, 0), content))
    writer.close()
    print("shuffled", len(keys), "images, the first is", keys[0])


if __name__ == "__main__":
    main()
