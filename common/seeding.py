"""Random numbers that can be repeated.

Two tools: seeding the global generators of Python, NumPy and PyTorch, and generators that are a pure function of a few
integers (run seed, epoch, position, ...), so that a choice made in the middle of a run can be made again without
replaying what came before.
"""

import random
import secrets
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int | None = None) -> int:
    """Seed the generators of Python, NumPy and PyTorch; a fresh seed is drawn for None. Returns the seed used."""
    if seed is None:
        seed = secrets.randbits(31)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    return seed


def generator_for(*key: int) -> np.random.Generator:
    """A generator that depends on the given non-negative integers only, and differently on each."""
    return np.random.default_rng(np.random.SeedSequence(key))


def seed_torch(*key: int) -> None:
    """Seed PyTorch's generators with a number that depends on the given non-negative integers only."""
    torch.manual_seed(int(generator_for(*key).integers(2**62)))


def random_states() -> dict[str, Any]:
    """The states of the global generators, made of values that weights-only loading accepts."""
    kind, keys, position, has_gauss, cached = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Put the global generators back to where `random_states` found them; GPUs only where their number is the same."""
    version, keys, gauss = states["python"]
    random.setstate((version, tuple(keys), gauss))
    kind, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(states["torch"])
    if torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
