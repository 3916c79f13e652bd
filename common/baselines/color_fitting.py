"""Colours of a surface that explain photographs best: weighted linear least squares, solved to convergence.

    min_t  sum_p w_p |c_p - sum_k a_pk t_k|^2  +  smoothness * sum_(i,j) |t_i - t_j|^2

over all pixels p of all photographs and all neighbours i, j. The second term weighs as a fraction of one pixel: it
decides where few photographs tell, and makes a texture that is finer than the photographs no worse than a coarser one.
The normal equations are summed view by view, so memory follows the number of stored colours, not that of pixels.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse
from scipy.sparse.linalg import cg

SMOOTHNESS = 0.1  # chosen on the town of seed 900
_ANCHOR = 1e-6
_STEPS = 150


@dataclass(frozen=True)
class Observations:
    """Pixels of a photograph.

    Attributes:
        numbers, weights: Which stored colours each pixel mixes, and how; see `SurfaceColors.mix`.
        trust: How much each pixel counts.
        rgb: What it shows.
    """

    numbers: Int[np.ndarray, "R K"]
    weights: Float[np.ndarray, "R K"]
    trust: Float[np.ndarray, " R"]
    rgb: Float[np.ndarray, "R 3"]


def fit_colors(
    num_colors: int,
    photographs: Iterable[Observations],
    neighbours: Int[np.ndarray, "E 2"],
    smoothness: float = SMOOTHNESS,
) -> Float[np.ndarray, "num_colors 3"]:
    """The stored colours, in [0, 1].

    Args:
        num_colors: How many.
        photographs: Taken one by one.
        neighbours: Pairs that the second term keeps alike.
        smoothness: Weight of the second term, in pixels that look straight at the surface.

    Raises:
        ValueError: No pixel of any photograph sees the surface.
    """
    system, right = sparse.csr_array((num_colors, num_colors), dtype=np.float32), np.zeros((num_colors, 3))
    received = np.zeros(num_colors)
    for seen in photographs:
        count, per_pixel = seen.numbers.shape
        rows = np.arange(0, count * per_pixel + 1, per_pixel)
        weights = seen.weights.ravel().astype(np.float32)
        mixing = sparse.csr_array((weights, seen.numbers.ravel(), rows), (count, num_colors))
        trusted = sparse.diags_array(seen.trust.astype(np.float32)) @ mixing
        system = system + mixing.T @ trusted
        right += trusted.T @ seen.rgb
        received += trusted.T @ np.ones(count)
    if not received.any():
        raise ValueError("no pixel of the source photographs sees the mesh; cameras and mesh are of different frames")
    anchor = _ANCHOR * received[received > 0].mean()
    mean = right.sum(axis=0) / received.sum()
    start = np.where(received[:, None] > 0, right / np.maximum(received, 1e-12)[:, None], mean)
    system = system + _smoothing(num_colors, neighbours, smoothness, anchor)
    right += anchor * mean
    inverse_diagonal = sparse.diags_array(1 / system.diagonal())
    solve = [
        cg(system, right[:, k], x0=start[:, k], rtol=1e-5, maxiter=_STEPS, M=inverse_diagonal)[0] for k in range(3)
    ]
    return np.clip(np.stack(solve, axis=1), 0, 1)


def _smoothing(count: int, neighbours: Int[np.ndarray, "E 2"], weight: float, anchor: float) -> sparse.csr_array:
    """The matrix of weight * sum |t_i - t_j|^2 + anchor * sum |t_i|^2."""
    first, second = neighbours.T
    beside = sparse.coo_array((np.full(len(neighbours), weight, np.float32), (first, second)), (count, count)).tocsr()
    beside = beside + beside.T
    return sparse.diags_array(np.asarray(beside.sum(axis=1)).ravel() + np.float32(anchor)) - beside
