"""Load a verification set into tensors, as evaluation during training does; print what is in them."""

import argparse
import hashlib
import pickle

import mxnet as mx
import torch
from mxnet import ndarray as nd


@torch.no_grad()
def load_bin(path, image_size):
    try:
        with open(path, "rb") as file:
            bins, issame_list = pickle.load(file)
    except UnicodeDecodeError:
        with open(path, "rb") as file:
            bins, issame_list = pickle.load(file, encoding="bytes")
    data_list = [torch.empty((len(issame_list) * 2, 3, image_size[0], image_size[1])) for _ in (0, 1)]
    for idx in range(len(issame_list) * 2):
        img = mx.image.imdecode(bins[idx])
        if img.shape[1] != image_size[0]:
            img = mx.image.resize_short(img, image_size[0])
        img = nd.transpose(img, axes=(2, 0, 1))
        for flip in (0, 1):
            if flip == 1:
                img = mx.ndarray.flip(data=img, axis=2)
            data_list[flip][idx][:] = torch.from_numpy(img.asnumpy())
    return data_list, issame_list


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("--size", type=int, default=32)
    args = parser.parse_args()
    data_list, issame_list = load_bin(args.path, (args.size, args.size))
    for data in data_list:
        scaled = (data / 255 - 0.5) / 0.5
        print(tuple(data.shape), hashlib.sha256(data.numpy().tobytes()).hexdigest())
        print(f"{scaled.min().item():.5f} {scaled.max().item():.5f}")
    print(sum(issame_list), "of", len(issame_list), "pairs are the same")


if __name__ == "__main__":
    main()
