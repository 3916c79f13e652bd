"""Which pixels of a picture a training step renders (spec 3.6 step 9)."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

CENTRAL_SHARE = 0.9  # of the rays, where the middle of the picture counts as foreground
MARGIN = 0.1


def choose_positions(
    foreground: Bool[np.ndarray, "H W"], count: int, ratio: float, generator: np.random.Generator
) -> Float[Tensor, "r 2"]:
    """Different positions (x, y): a share from the foreground, as many as it has, and the others from what is left.

    Args:
        foreground: Pixels to prefer.
        count: How many; a smaller picture gives all it has.
        ratio: The share.
        generator: Of the random numbers.
    """
    inside = np.flatnonzero(foreground)
    first = generator.choice(inside, min(int(count * ratio), len(inside)), replace=False)
    left = np.delete(np.arange(foreground.size), first)
    second = generator.choice(left, min(count - len(first), len(left)), replace=False)
    rows, columns = np.divmod(np.concatenate([first, second]), foreground.shape[1])
    return torch.from_numpy(np.stack([columns, rows], axis=1).astype(np.float32))


def central_rectangle(size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    """The middle of a picture of (height, width), a tenth away from its borders."""
    middle = np.zeros(size, bool)
    rows, columns = (slice(int(MARGIN * side), int((1 - MARGIN) * side)) for side in size)
    middle[rows, columns] = True
    return middle
