"""The rank of this process among those that train together, and their number."""

from __future__ import annotations

import os

import torch.distributed

from im2rec.errors import ParameterError

AUTO = "auto"


def rank_and_world(rank: int | str, world: int | str) -> tuple[int, int]:
    """Return *rank* and *world* as numbers; ``auto`` takes those of torch.distributed, or else of the environment.

    The variables RANK and WORLD_SIZE are those of torchrun; without them there is one process. Raises ParameterError
    where only one of the two is set, or if the rank is not below the world.
    """
    if AUTO in (rank, world):
        found_rank, found_world = _of_group() or _of_environment() or (0, 1)
        rank = found_rank if rank == AUTO else rank
        world = found_world if world == AUTO else world
    rank, world = _number("rank", rank), _number("world", world)
    if world < 1:
        raise ParameterError(f"world={world} must be 1 or more")
    if not 0 <= rank < world:
        raise ParameterError(f"rank={rank} must be {f'0 to {world - 1}' if world > 1 else '0'} with world={world}")
    return rank, world


def _of_group() -> tuple[int, int] | None:
    group = torch.distributed
    if not (group.is_available() and group.is_initialized()):
        return None
    return group.get_rank(), group.get_world_size()


def _of_environment() -> tuple[int, int] | None:
    found = {name: os.environ[name] for name in ("RANK", "WORLD_SIZE") if os.environ.get(name)}
    if not found:
        return None
    if len(found) == 1:  # every process would take the same share
        ((name, value),) = found.items()
        other = "WORLD_SIZE" if name == "RANK" else "RANK"
        raise ParameterError(f"the environment has {name}={value} and no {other}", hint="set both, or rank= and world=")
    return _number("RANK", found["RANK"]), _number("WORLD_SIZE", found["WORLD_SIZE"])


def _number(name: str, value: int | str) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ParameterError(f"{name}={value} must be an integer or {AUTO}") from None
