"""Which views of a sparse model suit each other, as MVSNet's converter scores them.

    score(i, j) = sum over the points that both see of exp(-(theta - theta0)^2 / (2 sigma^2))

theta is the angle at the point between the two camera centres in degrees; sigma is sigma1 up to theta0 and sigma2
beyond. A point that view i (the one with the smaller index) lists several times counts several times.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import coo_array, csr_array

OBSERVATIONS_AT_ONCE = 1 << 20
PAIRS_AT_ONCE = 1 << 22
FEWEST_DISTANCE = 1e-12  # of a point from a camera centre; nearer, it has no direction


@dataclass(frozen=True)
class AngleWeight:
    """The weight of a point by its angle in degrees."""

    theta0: float = 5.0
    sigma1: float = 1.0
    sigma2: float = 10.0

    def __post_init__(self) -> None:
        if not (self.sigma1 > 0 and self.sigma2 > 0):
            raise ValueError(f"sigma1 and sigma2 must be positive, got {self.sigma1:g} and {self.sigma2:g}")

    def __call__(self, degrees: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
        sigma = np.where(degrees <= self.theta0, self.sigma1, self.sigma2)
        return np.exp(-((degrees - self.theta0) ** 2) / (2 * sigma**2))


def view_scores(
    views: Int[np.ndarray, " M"],
    points: Int[np.ndarray, " M"],
    xyz: Float[np.ndarray, "P 3"],
    centers: Float[np.ndarray, "N 3"],
    weight: AngleWeight | None = None,
) -> csr_array:
    """Symmetric N x N scores, zero on the diagonal; stored are the pairs of views that share a point.

    Memory grows with the observations and with the pairs of views that share a point, not with the number of pairs of
    observations: these are visited in order of their distance within a point's track, many points at a time.

    Args:
        views: View of every observation.
        points: Row of `xyz` of every observation.
        xyz: Points, world frame.
        centers: Camera centres, world frame.
        weight: How angles count; by default MVSNet's.
    """
    weight = weight or AngleWeight()
    keys, counts = np.unique(points.astype(np.int64) * len(centers) + views, return_counts=True)
    points, views = keys // len(centers), keys % len(centers)  # sorted by point, then by view
    ends = np.searchsorted(points, points, side="right")  # of the track that an observation belongs to
    scores = _ScoreSum(len(centers))
    start = 0
    while start < len(keys):
        stop = ends[min(start + OBSERVATIONS_AT_ONCE, len(keys)) - 1]  # whole tracks
        rays = centers[views[start:stop]] - xyz[points[start:stop]]
        rays /= np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), FEWEST_DISTANCE)
        first = np.arange(start, stop)
        for step in range(1, stop - start):
            first = first[first + step < ends[first]]
            if not len(first):
                break
            cosine = np.einsum("nc,nc->n", rays[first - start], rays[first - start + step])
            degrees = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
            scores.add(views[first], views[first + step], counts[first] * weight(degrees))
        start = stop
    return scores.total()


def best_sources(
    scores: csr_array, count: int = 10, *, list_self: bool = False
) -> dict[int, tuple[tuple[int, float], ...]]:
    """The best source views of every view with their scores, best first; among equals the later view comes first.

    Args:
        scores: As `view_scores` returns them.
        count: How many at most.
        list_self: Let a view compete with score 0, as in MVSNet's converter, where a view of a model of up to `count`
            views is its own last source.
    """
    pairs = {}
    for view in range(scores.shape[0]):
        row = scores[[view]].toarray()[0]
        order = [int(other) for other in np.argsort(row, kind="stable")[::-1] if list_self or other != view]
        pairs[view] = tuple((other, float(row[other])) for other in order[:count])
    return pairs


class _ScoreSum:
    """Adds up scores of pairs of views, a bounded number of them at a time."""

    def __init__(self, num_views: int) -> None:
        self.shape = (num_views, num_views)
        self.sum = csr_array(self.shape)
        self.waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.num_waiting = 0

    def add(self, rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> None:
        self.waiting.append((rows, columns, values))
        self.num_waiting += len(rows)
        if self.num_waiting >= PAIRS_AT_ONCE:
            self._flush()

    def total(self) -> csr_array:
        self._flush()
        return (self.sum + self.sum.T).tocsr()

    def _flush(self) -> None:
        if self.waiting:
            rows, columns, values = (np.concatenate(parts) for parts in zip(*self.waiting, strict=True))
            self.sum = self.sum + coo_array((values, (rows, columns)), shape=self.shape).tocsr()
            self.waiting, self.num_waiting = [], 0
