"""Distances between a reconstructed surface and the true one: the Chamfer distance, in the unit of the world.

    accuracy      mean distance from the reconstruction to the truth       (DTU: d2s, data to stl)
    completeness  mean distance from the truth to the reconstruction       (DTU: s2d)
    overall       (accuracy + completeness) / 2

Papers differ in how surfaces become points, where points count and how far is too far. A `MeshProtocol` states it, and
every `MeshScores` carries its own; numbers of different protocols must not be compared.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from common.datasets.dtu_ground_truth import DtuGroundTruth
from common.metrics.thinning import thin_points

_SAMPLES_AT_ONCE = 1 << 22
LEAF = 128  # points in a leaf of the search tree: a far point visits many leaves; the result is the same


@dataclass(frozen=True)
class MeshProtocol:
    """Everything that decides the value of a Chamfer distance.

    Attributes:
        name: As in `MESH_PROTOCOLS`.
        origin: Where the definition comes from.
        density: Distance of the points to which the reconstruction is thinned (and on which faces are sampled), in the
            unit of the world; None where points are drawn at random instead.
        num_points: How many points are drawn from each surface, where they are drawn at random.
        margin: How far around the observed box points count, below it; above it, twice as far.
        max_distance: Distances of this and more are left out of the means; infinite keeps all.
    """

    name: str
    origin: str
    density: float | None = None
    num_points: int | None = None
    margin: float = np.inf
    max_distance: float = np.inf

    def describe(self) -> str:
        """One line that states the definition, for the foot of every table."""
        how = f"thinned to {self.density:g}" if self.density is not None else f"{self.num_points} random points each"
        far = f"distances from {self.max_distance:g} on left out" if np.isfinite(self.max_distance) else "no cut-off"
        box = f", {self.margin:g} around the observed box" if np.isfinite(self.margin) else ""
        return f"Chamfer distance, protocol {self.name}: {how}{box}, {far}, mean of both directions"


@dataclass(frozen=True)
class MeshScores:
    """Chamfer distance of one surface.

    Attributes:
        accuracy, completeness: See the module's docstring; NaN where no distance counts.
        counts: How many points there were after each step, by the step's name.
        protocol: The definition.
    """

    accuracy: float
    completeness: float
    counts: dict[str, int]
    protocol: MeshProtocol

    @property
    def overall(self) -> float:
        """The Chamfer distance."""
        return (self.accuracy + self.completeness) / 2


_ALL = (
    MeshProtocol("dtu", "GenS on DTU, mm; after Jensen et al., CVPR 2014", 0.2, None, 60.0, 20.0),
    MeshProtocol("sampled", "generated scenes, whose whole surface is known", None, 200_000),
)
MESH_PROTOCOLS: dict[str, MeshProtocol] = {entry.name: entry for entry in _ALL}


def score_dtu(
    points: Float[np.ndarray, "P 3"],
    truth: DtuGroundTruth,
    protocol: MeshProtocol = MESH_PROTOCOLS["dtu"],
    seed: int = 0,
) -> MeshScores:
    """Chamfer distance of a reconstructed DTU scan.

    Args:
        points: Of the reconstruction, millimetres; of a mesh: `sample_faces`.
        truth: Of the scan.
        protocol: With density, margin and cut-off.
        seed: Of the order in which points are thinned.

    Raises:
        ValueError: No point of the reconstruction lies where the scan was observed.
    """
    points = points.astype(np.float64)  # a copy: it is shuffled
    counts = {"samples": len(points)}
    np.random.default_rng(seed).shuffle(points, axis=0)
    points = points[thin_points(points, protocol.density)]
    counts["thinned"] = len(points)

    low, high = truth.box.astype(np.float64)
    inside = points[((points >= low - protocol.margin) & (points < high + 2 * protocol.margin)).all(1)]
    voxels = np.rint((inside - low) / truth.resolution).astype(np.int64)
    in_grid = ((voxels >= 0) & (voxels < truth.observed.shape)).all(1)
    observed = inside[in_grid][truth.observed[tuple(voxels[in_grid].T)]]
    above = truth.points[truth.points @ truth.plane[:3] + truth.plane[3] > 0]
    counts |= {"in_box": len(inside), "observed": len(observed), "truth_above_plane": len(above)}
    if not len(observed):
        raise ValueError(
            f"none of the {counts['samples']} points of the reconstruction lies where the scan was observed, between"
            f" {low.tolist()} and {high.tolist()}; is it in DTU's millimetres, and of this scan?"
        )
    limit = protocol.max_distance
    return MeshScores(
        mean_distance(observed, truth.points, limit), mean_distance(above, inside, limit), counts, protocol
    )


def score_surface(
    mesh: tuple[Float[np.ndarray, "P 3"], Int[np.ndarray, "T 3"]],
    truth: tuple[Float[np.ndarray, "Q 3"], Int[np.ndarray, "S 3"]],
    protocol: MeshProtocol = MESH_PROTOCOLS["sampled"],
    seed: int = 0,
) -> MeshScores:
    """Chamfer distance of two meshes by points drawn uniformly from both.

    Distances go from point to point: on a surface of area A they cannot fall below about sqrt(A / num_points) / 2.

    Args:
        mesh: Vertices and faces of the reconstruction. What no picture shows is best cut off both before
            (`common.meshes.cleaning`).
        truth: Of the true surface.
        protocol: With number of points and cut-off.
        seed: Of the points.

    Raises:
        ValueError: One of them has no surface.
    """
    first, second = (
        sample_surface(*surface, protocol.num_points, seed + number) for number, surface in enumerate((mesh, truth))
    )
    limit = protocol.max_distance
    accuracy, completeness = mean_distance(first, second, limit), mean_distance(second, first, limit)
    return MeshScores(accuracy, completeness, {"samples": len(first), "truth_samples": len(second)}, protocol)


def mean_distance(points: Float[np.ndarray, "P 3"], others: Float[np.ndarray, "Q 3"], limit: float = np.inf) -> float:
    """Mean distance from points to the nearest of others, over the distances below `limit`; NaN if there are none."""
    if not len(others):
        return float("nan")
    distances, _ = cKDTree(others, leafsize=LEAF).query(points, workers=-1, distance_upper_bound=limit)
    near = distances[distances < limit]
    return float(near.mean()) if len(near) else float("nan")


def sample_surface(
    vertices: Float[np.ndarray, "P 3"], faces: Int[np.ndarray, "T 3"], count: int, seed: int
) -> Float[np.ndarray, "N 3"]:
    """Points drawn uniformly by area.

    Raises:
        ValueError: The mesh has no area.
    """
    import trimesh

    mesh = trimesh.Trimesh(vertices, faces, process=False)
    if not len(faces) or not mesh.area > 0:
        raise ValueError(
            f"a mesh of {len(vertices)} vertices and {len(faces)} faces has no surface to draw points from"
        )
    return np.asarray(trimesh.sample.sample_surface(mesh, count, seed=seed)[0], np.float64)


def sample_faces(
    vertices: Float[np.ndarray, "P 3"], faces: Int[np.ndarray, "T 3"], density: float
) -> Float[np.ndarray, "N 3"]:
    """The vertices, then points on a regular grid on each face, as DTU's evaluation in Python samples a mesh.

    A face with edges e1, e2 from its first corner gets a grid along both whose cells have the area of `density`
    squared: steps of density sqrt(|e1| |e2| / |e1 x e2|).

    Args:
        vertices: Millimetres, on DTU.
        faces: Corners of each triangle.
        density: In the unit of the vertices.
    """
    vertices = vertices.astype(np.float64)
    start = vertices[faces[:, 0]]
    edges = np.stack([vertices[faces[:, 1]] - start, vertices[faces[:, 2]] - start])
    lengths = np.linalg.norm(edges, axis=2)
    area = np.linalg.norm(np.cross(*edges), axis=1)
    has_area = area > 0
    start, edges, lengths, area = start[has_area], edges[:, has_area], lengths[:, has_area], area[has_area]
    steps = np.floor(lengths / (density * np.sqrt(lengths.prod(0) / area))).astype(np.int64)
    counts = (steps + 1).prod(0)
    pieces = [vertices]
    groups = np.cumsum(counts) // _SAMPLES_AT_ONCE
    for part in np.split(np.arange(len(counts)), np.flatnonzero(np.diff(groups)) + 1):
        pieces.append(_grid_points(start[part], edges[:, part], steps[:, part], counts[part]))
    return np.concatenate(pieces)


def _grid_points(start: np.ndarray, edges: np.ndarray, steps: np.ndarray, counts: np.ndarray) -> np.ndarray:
    face = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(face)) - np.repeat(np.cumsum(counts) - counts, counts)
    index = np.stack([number // (steps[1, face] + 1), number % (steps[1, face] + 1)])
    weights = (index + 0.5) / np.maximum(steps[:, face], 1e-7)
    inside: Bool[np.ndarray, " N"] = weights.sum(0) < 1
    first, second = weights[:, inside, None]
    face = face[inside]
    return edges[0, face] * first + edges[1, face] * second + start[face]
