"""Train a small model for an epoch on a training set, in as many processes as torchrun starts."""

import argparse
import hashlib

import torch
from face_dataset import FaceDataset
from torch import distributed
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("--context", default="fork")
    args = parser.parse_args()
    distributed.init_process_group("gloo")
    rank, world = distributed.get_rank(), distributed.get_world_size()
    torch.manual_seed(0)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(3 * 16 * 16, 8))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    dataset = FaceDataset(args.root)
    sampler = DistributedSampler(dataset, num_replicas=world, rank=rank, shuffle=True, seed=3)
    loader = DataLoader(dataset, 2, sampler=sampler, num_workers=2, multiprocessing_context=args.context)
    seen = hashlib.sha256()
    for images, labels in loader:
        seen.update(images.numpy().tobytes())
        loss = torch.nn.functional.cross_entropy(model(images.flatten(1)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    everyone = [None] * world
    distributed.all_gather_object(everyone, (rank, len(sampler), seen.hexdigest()))
    if rank == 0:
        print(*everyone, sep="\n", flush=True)
    distributed.barrier()  # no process ends while another still needs its threads
    del model, optimizer, loss
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
