"""The DTU test scans on disk: cutting their meshes, and scoring what was cut."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool
from tqdm import tqdm

from common.datasets.dtu_ground_truth import read_dtu_ground_truth
from common.io.images import read_pixels
from common.io.meshes import read_mesh, write_mesh
from common.io.mvsnet_camera import read_mvsnet_camera
from common.io.point_clouds import read_points
from common.metrics.meshes import MeshProtocol, MeshScores, sample_faces, score_dtu
from common.renderer import SurfaceMesh
from gens.evaluation.mask_cleaning import Camera, Mesh, cut_by_masks, cut_by_sight, dilate

TEST_SCANS = (24, 37, 40, 55, 63, 65, 69, 83, 97, 105, 106, 110, 114, 118, 122)
# The reference view of a set, then its sources, best first.
VIEW_SETS = {
    0: (23, 24, 33, 22, 15, 34, 14, 32, 16, 35, 25),
    1: (43, 33, 44, 42, 34, 32, 45, 23, 41, 24, 31),
}
_MASK_THRESHOLD = 128
_WHERE_FROM = "DTU_TEST is the test set that SparseNeuS offers (https://github.com/xxlong0/SparseNeuS)"


def clean_scans(
    root_dir: str | Path,
    out_dir: str | Path,
    num_views: int = 3,
    view_set: int = 0,
    pattern: str = "*scan{scan}_epoch0.ply",
    scans: Sequence[int] = TEST_SCANS,
) -> None:
    """Cut the mesh of every scan; one that fails does not stop the others.

    Args:
        root_dir: `DTU_TEST`.
        out_dir: Folder of the meshes; results go to `final` in it.
        num_views: How many views of the set cut the mesh.
        view_set: 0 for the set of reference view 23, anything else for 43.
        pattern: Glob for a scan's mesh in `out_dir`; `{scan}` stands for its number. The first match is taken.
        scans: Numbers.

    Raises:
        ValueError: The number of views is not one of the set's, or scans failed (the sentence has their reasons).
        FileNotFoundError: The folders are missing.
    """
    root_dir, out_dir = Path(root_dir), Path(out_dir)
    views = VIEW_SETS[0 if view_set == 0 else 1]
    if not 2 <= num_views <= len(views):
        raise ValueError(f"a mesh is cut by 2 to {len(views)} views, got --n_view {num_views}")
    if not (root_dir / "cameras").is_dir():
        raise FileNotFoundError(f"no folder {root_dir / 'cameras'}; give --root_dir. {_WHERE_FROM}")
    failures = []
    for scan in tqdm(scans, "clean meshes", unit="scan"):
        try:
            cameras, masks = read_masked_views(root_dir, scan, views[:num_views])
            clean_scan(_find_mesh(out_dir, pattern, scan), out_dir / "final", scan, cameras, masks)
        except (ValueError, FileNotFoundError) as error:
            failures.append(f"scan{scan}: {error}")
    _raise_failures(failures, len(scans), "cleaned")


def evaluate_scans(
    dataset_dir: str | Path,
    out_dir: str | Path,
    mode: Literal["mesh", "pcd"],
    protocol: MeshProtocol,
    seed: int = 0,
    scans: Sequence[int] = TEST_SCANS,
) -> dict[int, MeshScores]:
    """Score every scan and print the scores; one that fails does not stop the others.

    Args:
        dataset_dir: Ground truth, see `common/datasets/dtu_ground_truth.py`.
        out_dir: Has `meshes/final/scan<N>.ply` (or `pcd/scan<N>.ply`).
        mode: Whether meshes or point clouds are scored.
        protocol: The definition.
        seed: Of the order in which points are thinned.
        scans: Numbers.

    Returns:
        Scores by scan.

    Raises:
        ValueError: Scans failed; the sentence has their reasons.
    """
    folder = Path(out_dir) / ("meshes/final" if mode == "mesh" else "pcd")
    scores, failures = {}, []
    for scan in tqdm(scans, "dtu_eval", unit="scan"):
        try:
            truth = read_dtu_ground_truth(dataset_dir, scan)
            scores[scan] = score_dtu(
                _points_to_score(folder / f"scan{scan}.ply", mode, protocol), truth, protocol, seed
            )
        except (ValueError, FileNotFoundError) as error:
            failures.append(f"scan{scan}: {error}")
            continue
        found = scores[scan]
        tqdm.write(f"{scan} {found.accuracy} {found.completeness} {found.overall}")
    if scores:
        means = [
            float(np.mean([getattr(found, name) for found in scores.values()]))
            for name in ("accuracy", "completeness", "overall")
        ]
        only = f" (of {len(scores)} of {len(scans)} scans)" if failures else ""
        tqdm.write(f"final result{only}\n{means[0]} {means[1]} {means[2]}\n{protocol.describe()}")
    _raise_failures(failures, len(scans), "scored")
    return scores


def clean_scan(
    mesh_path: Path,
    folder: Path,
    scan: int,
    cameras: Sequence[Camera],
    masks: Bool[np.ndarray, "V H W"],
) -> None:
    """Cut one mesh and write both stages."""
    # Every stage reads what the one before wrote, which makes vertices at the same place one.
    between = folder / f"clean_{scan:03d}.ply"
    _write(between, cut_by_masks(*read_mesh(mesh_path), cameras, masks))
    _write(folder / f"scan{scan}.ply", cut_by_sight(*read_mesh(between), cameras, masks))


def read_masked_views(
    root_dir: Path, scan: int, views: Sequence[int]
) -> tuple[list[Camera], Bool[np.ndarray, "V H W"]]:
    """Cameras and dilated object masks of some views of a scan.

    Raises:
        FileNotFoundError: A camera or mask is missing.
        ValueError: A mask is empty, or masks have different sizes.
    """
    cameras, masks = [], []
    for view in views:
        camera = read_mvsnet_camera(root_dir / "cameras" / f"{view:08d}_cam.txt")
        cameras.append((camera.intrinsics, camera.world_to_cam))
        path = root_dir / f"scan{scan}" / "mask" / f"{view:03d}.png"
        if not path.is_file():
            raise FileNotFoundError(f"no mask {path}; {_WHERE_FROM}")
        pixels = read_pixels(path)
        mask = (pixels if pixels.ndim == 2 else pixels[..., 0]) > _MASK_THRESHOLD
        if not mask.any():
            raise ValueError(f"the mask {path} is empty: no pixel is above {_MASK_THRESHOLD}; fetch the data set again")
        if masks and mask.shape != masks[0].shape:
            raise ValueError(f"the mask {path} is {mask.shape} but that of view {views[0]} is {masks[0].shape}")
        masks.append(dilate(mask))
    return cameras, np.stack(masks)


def _find_mesh(folder: Path, pattern: str, scan: int) -> Path:
    name = pattern.format(scan=scan)
    found = sorted(folder.glob(name))
    if not found:
        raise FileNotFoundError(
            f"no mesh {folder / name}; run main.py --mode val first, or give --out_dir or --pattern"
        )
    return found[0]


def _write(path: Path, mesh: Mesh) -> None:
    vertices, faces = mesh
    write_mesh(path, SurfaceMesh(torch.from_numpy(vertices), torch.from_numpy(np.asarray(faces, np.int64))))


def _points_to_score(path: Path, mode: Literal["mesh", "pcd"], protocol: MeshProtocol) -> np.ndarray:
    if not path.is_file():
        where = "run gens/evaluation/clean_meshes.py first, or give --out_dir" if mode == "mesh" else "give --out_dir"
        raise FileNotFoundError(f"no reconstruction {path}; {where}")
    # Every vertex of the file counts as a sample, doubled ones too.
    return (
        sample_faces(*read_mesh(path, join_vertices=False), protocol.density) if mode == "mesh" else read_points(path)
    )


def _raise_failures(failures: list[str], total: int, what: str) -> None:
    if failures:
        raise ValueError(f"{len(failures)} of {total} scans were not {what}: " + "; ".join(failures))
