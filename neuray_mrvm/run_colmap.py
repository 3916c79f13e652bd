"""COLMAP on your own photographs, for NeuRay: cameras, sparse points and depth maps.

    python neuray_mrvm/run_colmap.py --example_name NAME [--same_camera]

Photographs are in <base_data_dir>/example/NAME/images. Afterwards the scene is called `example/NAME/raw`, or
`example/NAME/<longest side>` for smaller pictures, in `render.py --database_name`:

    sparse/0                                    cameras and points; found again only if the folder is deleted
    dense/stereo/depth_maps/*.geometric.bin     by COLMAP's dense stereo where CUDA is, else by a plane sweep on the CPU
    points.ply                                  fused depth maps; the sparse points where there is no CUDA
    cam_pts.txt                                 camera centres
"""

import argparse
import logging
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.colmap_programs import DATABASE, dense_program, dense_stereo, fuse_stereo, reconstruct
from common.entry_point import run_command
from common.io.atomic import atomic_path
from common.io.colmap_model import find_model_encoding, read_colmap_model
from common.io.colmap_records import ColmapModel, world_to_cam_of
from common.io.point_clouds import write_ply
from common.reporting import configure_logging
from neuray_mrvm.database_names import database
from neuray_mrvm.depth_cache import STEREO, make_depth_cache

SUFFIXES = (".jpg", ".jpeg", ".png")
FEWEST_PICTURES = 3
_LEFT_OVER = ("images", "sparse", "*.sh", "stereo/depth_maps/*.photometric.bin", "stereo/normal_maps")
_LOGGER = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line `arguments`, by default the process's own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--example_name", default="ear_cup", help="folder of the scene, in <base_data_dir>/example")
    parser.add_argument("--same_camera", action="store_true", help="all photographs have the same lens")
    parser.add_argument("--colmap_path", default="colmap", help="program with CUDA, used where pycolmap has none")
    parser.add_argument("--base_data_dir", type=Path, default=Path("data"), help="folder that has the folder 'example'")
    args = parser.parse_args(arguments)
    configure_logging()
    make_example(args.base_data_dir, args.example_name, args.same_camera, args.colmap_path)


def make_example(data_dir: Path, name: str, same_camera: bool = False, colmap: str = "colmap") -> None:
    """Do what is not done yet for a scene.

    Raises:
        FileNotFoundError: There are no photographs.
        ImportError: pycolmap is not installed.
        RuntimeError: COLMAP cannot reconstruct them.
    """
    folder = data_dir / "example" / name
    pictures = sorted(path for path in (folder / "images").glob("*") if path.suffix.lower() in SUFFIXES)
    if len(pictures) < FEWEST_PICTURES:
        raise FileNotFoundError(
            f"{len(pictures)} pictures (jpg, png) in {folder / 'images'}; put at least"
            f" {FEWEST_PICTURES} of the scene there"
        )
    model_folder = folder / "sparse" / "0"
    if find_model_encoding(model_folder) is None:
        _LOGGER.info("features, matches and cameras of %d pictures; this takes a while", len(pictures))
        reconstruct(folder / "images", folder, same_camera)
        (folder / DATABASE).unlink(missing_ok=True)
    model = read_colmap_model(model_folder)
    print(f"{len(model.images)} of {len(pictures)} pictures have a camera, {len(model.points.xyz)} points")
    _write_centers(folder / "cam_pts.txt", model)
    method = _depth_maps(data_dir, name, colmap)
    if not (folder / "points.ply").is_file():
        write_ply(folder / "points.ply", model.points.xyz, model.points.rgb)
    print(f"depth maps by {method}; render it with --database_name example/{name}/raw")


def _depth_maps(data_dir: Path, name: str, colmap: str) -> str:
    found = database(f"example/{name}/raw", data_dir)
    program = dense_program(colmap)
    if program is None:
        return make_depth_cache(found, found.ids, place=found.depth_path)[0]
    folder = data_dir / "example" / name
    if any(found.find_depth(view_id) is None for view_id in found.ids):
        with tempfile.TemporaryDirectory(prefix=".dense-", dir=folder) as workspace:
            dense_stereo(program, folder / "images", folder / "sparse" / "0", Path(workspace))
            dense = Path(workspace) / "dense"
            with atomic_path(folder / "points.ply") as temporary:
                fuse_stereo(program, dense, temporary)
            for pattern in _LEFT_OVER:
                for path in dense.glob(pattern):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            shutil.rmtree(folder / "dense", ignore_errors=True)
            dense.rename(folder / "dense")
    return STEREO


def _write_centers(path: Path, model: ColmapModel) -> None:
    """Camera centres, one a line, in the order of ids."""
    poses = [world_to_cam_of(model.images[image_id]) for image_id in sorted(model.images)]
    centers = np.array([-pose[:3, :3].T @ pose[:3, 3] for pose in poses])
    with atomic_path(path) as temporary:
        np.savetxt(temporary, centers)


if __name__ == "__main__":
    run_command(main)
