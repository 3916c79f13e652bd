"""Basic shapes: boxes, turned shapes, superquadrics, tubes, blobs, letters, extrusions. z is up; millimetres."""

import cv2
import mcubes
import numpy as np
from jaxtyping import Float

from common.synthetic.surfaces import Surface, block_surface, grid_surface, join_surfaces


def rectangle(corner, edge_u, edge_v, spacing: float = 4.0) -> Surface:
    """A flat sheet spanned by two edges from a corner, facing along `edge_u x edge_v`, fine enough for baked light."""
    corner, edge_u, edge_v = (np.asarray(value, dtype=np.float64) for value in (corner, edge_u, edge_v))
    columns = int(np.clip(np.linalg.norm(edge_u) / spacing, 1, 120)) + 1
    rows = int(np.clip(np.linalg.norm(edge_v) / spacing, 1, 120)) + 1
    u, v = np.linspace(0, 1, columns), np.linspace(0, 1, rows)
    return grid_surface(corner + u[None, :, None] * edge_u + v[:, None, None] * edge_v)


def box(size: tuple[float, float, float], spacing: float = 4.0) -> Surface:
    """A box with sharp edges, centred in x and y, standing on z = 0."""
    x, y, z = (np.diag([value, value, value]) for value in size)
    x, y, z = x[0], y[1], z[2]
    low = -(x + y) / 2
    sides = [
        rectangle(low, x, z, spacing),
        rectangle(low + x, y, z, spacing),
        rectangle(low + x + y, -x, z, spacing),
        rectangle(low + y, -y, z, spacing),
        rectangle(low + z, x, y, spacing),
        rectangle(low + y, x, -y, spacing),
    ]
    return join_surfaces(sides)


def turned(profile: Float[np.ndarray, "N 2"], segments: int = 48) -> Surface:
    """A shape turned on a lathe: (radius, height) pairs, outside to the right when going along the profile upwards."""
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    radius, height = profile[:, 0, None], profile[:, 1, None]
    points = np.stack(
        [radius * np.cos(angle), radius * np.sin(angle), np.broadcast_to(height, (len(profile), segments + 1))], -1
    )
    return grid_surface(points)


def smooth_profile(knots, steps: int = 40) -> Float[np.ndarray, "N 2"]:
    """A Catmull-Rom curve through (radius, height) knots, radius kept at least 0."""
    knots = np.asarray(knots, dtype=np.float64)
    padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    t = np.linspace(0, len(knots) - 1, steps)
    i = np.minimum(t.astype(int), len(knots) - 2)
    f = (t - i)[:, None]
    a, b, c, d = (padded[i + k] for k in range(4))
    curve = 0.5 * (2 * b + (c - a) * f + (2 * a - 5 * b + 4 * c - d) * f**2 + (3 * b - a - 3 * c + d) * f**3)
    curve[:, 0] = np.maximum(curve[:, 0], 0.0)
    return curve


def superquadric(size: tuple[float, float, float], vertical: float, horizontal: float, divisions: int = 48) -> Surface:
    """A superquadric standing on z = 0; exponents near 0 give boxes, 1 an ellipsoid, 2 a diamond."""

    def power(value, exponent):
        return np.sign(value) * np.abs(value) ** exponent

    latitude = np.linspace(-np.pi / 2, np.pi / 2, divisions // 2 + 1)[:, None]
    longitude = np.linspace(0, 2 * np.pi, divisions + 1)[None]
    ring = power(np.cos(latitude), vertical)
    x = ring * power(np.cos(longitude), horizontal)
    y = ring * power(np.sin(longitude), horizontal)
    z = np.broadcast_to(power(np.sin(latitude), vertical), x.shape)
    return grid_surface((np.stack([x, y, z + 1.0], -1)) * np.asarray(size) / 2)


def tube(
    path: Float[np.ndarray, "N 3"], radius: float | Float[np.ndarray, " N"], closed: bool, segments: int = 14
) -> Surface:
    """A round tube along a path; open ends are capped by shrinking to a point."""
    path = np.asarray(path, dtype=np.float64)
    radius = np.broadcast_to(np.asarray(radius, dtype=np.float64), len(path)).copy()
    if closed:
        path, radius = np.concatenate([path, path[:1]]), np.append(radius, radius[0])
        tangent = np.gradient(np.concatenate([path[-2:-1], path, path[1:2]]), axis=0)[1:-1]
    else:
        tangent = np.gradient(path, axis=0)
        path, radius, tangent = path[[0, *range(len(path)), -1]], np.pad(radius, 1), tangent[[0, *range(len(path)), -1]]
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    side = _transported_sides(tangent, closed)
    up = np.cross(tangent, side)
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    ring = np.cos(angle)[None, :, None] * side[:, None] + np.sin(angle)[None, :, None] * up[:, None]
    return grid_surface(path[:, None] + radius[:, None, None] * ring)


def _transported_sides(tangent: Float[np.ndarray, "N 3"], closed: bool) -> Float[np.ndarray, "N 3"]:
    helper = np.array([1.0, 0.0, 0.0]) if abs(tangent[0, 0]) < 0.9 else np.array([0.0, 1.0, 0.0])
    side = np.cross(tangent[0], helper)
    sides = [side / np.linalg.norm(side)]
    for direction in tangent[1:]:
        side = sides[-1] - direction * (sides[-1] @ direction)
        sides.append(side / np.linalg.norm(side))
    sides = np.array(sides)
    if not closed:
        return sides
    # A closed path returns with a twist; spread its opposite over the whole length so that the seam meets.
    first_up = np.cross(tangent[0], sides[0])
    twist = np.arctan2(sides[-1] @ first_up, sides[-1] @ sides[0])
    angle = -twist * np.linspace(0, 1, len(sides))[:, None]
    return np.cos(angle) * sides + np.sin(angle) * np.cross(tangent, sides)


def knot(size: float, p: int, q: int, thickness: float) -> Surface:
    """A (p, q) torus knot standing on z = 0."""
    t = np.linspace(0, 2 * np.pi, 260, endpoint=False)
    ring = 2.0 + np.cos(q * t)
    path = np.stack([ring * np.cos(p * t), ring * np.sin(p * t), np.sin(q * t) * 1.2], -1) * size / 6
    surface = tube(path, thickness, closed=True)
    return surface.moved(np.eye(3), np.array([0.0, 0.0, -surface.vertices[:, 2].min()]))


def metaballs(
    centers: Float[np.ndarray, "K 3"], radii: Float[np.ndarray, " K"], blend: float, cells: int = 40
) -> Surface:
    """Balls that melt into each other over `blend` millimetres, cut flat at z = 0."""
    low, high = (centers - radii[:, None]).min(0) - blend, (centers + radii[:, None]).max(0) + blend
    low[2] = max(low[2], 0.0)
    step = (high - low).max() / cells
    axes = [np.arange(a - 2 * step, b + 2 * step, step) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    distance = np.linalg.norm(grid[..., None, :] - centers, axis=-1) - radii
    field = blend * np.log(np.exp(-distance / blend).sum(-1))
    return _isosurface(np.minimum(field, grid[..., 2]), axes, step)


def letters(text: str, height: float, depth: float) -> Surface:
    """Upright block letters with rounded edges, standing on z = 0."""
    font, scale, thick = cv2.FONT_HERSHEY_DUPLEX, 1.5, 7
    (width, tall), base = cv2.getTextSize(text, font, scale, thick)
    picture = np.zeros((tall + base + 16, width + 16), np.uint8)
    cv2.putText(picture, text, (8, tall + 8), font, scale, 255, thick, cv2.LINE_AA)
    rows = np.flatnonzero(picture.max(axis=1) > 127)
    picture = picture[max(rows[0] - 3, 0) : rows[-1] + 4]
    step = height / (rows[-1] - rows[0] + 1)
    inside = cv2.distanceTransform((picture > 127).astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((picture <= 127).astype(np.uint8), cv2.DIST_L2, 5)
    flat = np.flipud(inside - outside).T * step
    axes = [np.arange(count) * step for count in flat.shape]
    thickness = np.arange(-depth / 2 - 2 * step, depth / 2 + 2.5 * step, step)
    field = np.minimum(flat[:, None, :], depth / 2 - np.abs(thickness)[None, :, None])
    axes[0] -= axes[0].mean()
    return _isosurface(field, [axes[0], thickness, axes[1]], step)


def _isosurface(field: Float[np.ndarray, "X Y Z"], axes: list, step: float) -> Surface:
    vertices, unsigned = mcubes.marching_cubes(np.pad(field, 1, constant_values=-step), 0.0)
    faces = unsigned.astype(np.int64)
    vertices = (vertices - 1.0) * step + np.array([axis[0] for axis in axes])
    vertices[:, 2] -= vertices[:, 2].min()
    surface = block_surface(vertices, faces)
    first, second, third = (vertices[surface.faces[:, k]] for k in range(3))
    volume = np.einsum("ij,ij->", first, np.cross(second, third))
    return surface if volume > 0 else block_surface(vertices, surface.faces[:, ::-1])


def extruded(outline: Float[np.ndarray, "N 2"], height: float, bevel: float) -> Surface:
    """A star-shaped outline (seen from the origin, counter-clockwise) pulled up to `height`, edges bevelled."""
    closed = np.concatenate([outline, outline[:1]])
    inner = closed * (1.0 - bevel / np.linalg.norm(closed, axis=1, keepdims=True).max())

    def ring(points, z):
        return np.concatenate([points, np.full((len(points), 1), z)], axis=1)

    steps = max(int((height - 2 * bevel) / 5), 1) + 1
    wall = np.stack([ring(closed, z) for z in np.linspace(bevel, height - bevel, steps)])
    rings = [np.stack([ring(closed, height - bevel), ring(inner, height)])]
    top = np.stack([ring(inner * f, height) for f in np.linspace(1, 0, 6)])
    bottom = np.stack([ring(inner * f, 0.0) for f in np.linspace(0, 1, 3)])
    rings += [np.stack([ring(inner, 0.0), ring(closed, bevel)]), wall, top, bottom]
    pieces = [grid_surface(points) for points in rings]
    joined = join_surfaces(pieces)
    return Surface(joined.vertices, joined.faces, joined.normals, joined.vertices.copy(), triplanar=True)
