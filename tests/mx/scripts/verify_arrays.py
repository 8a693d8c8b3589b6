"""Load a verification set into arrays: all images, and all of them mirrored; print what is in them."""

import argparse
import hashlib
import pickle

import mxnet as mx
import numpy as np
from mxnet import ndarray as nd


def load_bin(path, image_size):
    with open(path, "rb") as file:
        bins, issame_list = pickle.load(file, encoding="bytes")
    data_list = [nd.empty((len(issame_list) * 2, 3, *image_size)) for _ in (0, 1)]
    for i in range(len(issame_list) * 2):
        img = mx.image.imdecode(bins[i])
        if img.shape[1] != image_size[0]:
            img = mx.image.resize_short(img, image_size[0])
        img = nd.transpose(img, axes=(2, 0, 1))
        for flip in (0, 1):
            if flip == 1:
                img = mx.ndarray.flip(data=img, axis=2)
            data_list[flip][i][:] = img
    return data_list, issame_list


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("--size", type=int, default=32)
    args = parser.parse_args()
    data_list, issame_list = load_bin(args.path, (args.size, args.size))
    for data in data_list:
        half = nd.slice_axis(data, axis=0, begin=0, end=2)
        values = ((data / 255 - 0.5) / 0.5).asnumpy()
        print(data.shape, np.dtype(data.dtype).name, hashlib.sha256(data.asnumpy().tobytes()).hexdigest())
        print(half.shape, f"{values.min():.5f} {values.max():.5f}")
    print(sum(issame_list), "of", len(issame_list), "pairs are the same")


if __name__ == "__main__":
    main()
