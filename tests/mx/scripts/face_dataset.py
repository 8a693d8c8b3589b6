"""A training set as a dataset of torch, and what a DataLoader gives of it; printed as digests."""

import argparse
import hashlib
import numbers
import os

import mxnet as mx
import torch
from torch.utils.data import DataLoader, Dataset


class FaceDataset(Dataset):
    def __init__(self, root_dir):
        super().__init__()
        self.imgrec = mx.recordio.MXIndexedRecordIO(
            os.path.join(root_dir, "train.idx"), os.path.join(root_dir, "train.rec"), "r"
        )
        header, _ = mx.recordio.unpack(self.imgrec.read_idx(0))
        if header.flag > 0:
            self.header0 = (int(header.label[0]), int(header.label[1]))
            self.imgidx = list(range(1, int(header.label[0])))
        else:
            self.imgidx = list(self.imgrec.keys)

    def __getitem__(self, index):
        header, img = mx.recordio.unpack(self.imgrec.read_idx(self.imgidx[index]))
        label = header.label
        if not isinstance(label, numbers.Number):
            label = label[0]
        label = torch.tensor(label, dtype=torch.long)
        sample = mx.image.imdecode(img).asnumpy()
        return torch.from_numpy(sample).permute(2, 0, 1).float().div_(255).sub_(0.5).div_(0.5), label

    def __len__(self):
        return len(self.imgidx)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--context", default="fork")
    args = parser.parse_args()
    dataset = FaceDataset(args.root)
    context = args.context if args.workers else None
    loader = DataLoader(
        dataset, batch_size=4, num_workers=args.workers, multiprocessing_context=context, drop_last=True
    )
    digest, labels = hashlib.sha256(), []
    for images, label in loader:
        digest.update(images.numpy().tobytes())
        labels += label.tolist()
    print(len(dataset), len(loader), digest.hexdigest(), labels)


if __name__ == "__main__":
    main()
