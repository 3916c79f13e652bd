"""COLMAP's programs through pycolmap: cameras and points from photographs, points for known cameras, dense stereo.

pycolmap's wheels compute features, matches and models on any CPU; dense stereo needs CUDA, in pycolmap or in an
installed `colmap`. Pixels are corner-origin here (the centre of the top-left pixel is (0.5, 0.5)), as in COLMAP.
"""

import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import torch

from common.io.colmap_model import write_colmap_model
from common.io.colmap_records import ColmapCamera, ColmapImage, ColmapModel, no_points

DATABASE = "database.db"


def load_pycolmap() -> ModuleType:
    """pycolmap, which says nothing but errors.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import pycolmap
    except ImportError:
        raise ImportError("pycolmap is not installed; install it with: pip install 'polyview[photos]'") from None
    pycolmap.logging.minloglevel = 2
    return pycolmap


def reconstruct(pictures: Path, workspace: Path, share_camera: bool = False) -> Path:
    """Cameras and points of photographs that nothing is known of.

    Cameras are SIMPLE_PINHOLE and begin with a focal length of the picture's diagonal.

    Args:
        pictures: Folder of photographs.
        workspace: Gets `database.db` and `sparse/0`, the largest model.
        share_camera: All photographs have the same lens.

    Returns:
        The model's folder.

    Raises:
        ImportError: See `load_pycolmap`.
        RuntimeError: COLMAP finds no model in these photographs.
    """
    pycolmap = load_pycolmap()
    database = _fresh_database(workspace)
    mode = pycolmap.CameraMode.SINGLE if share_camera else pycolmap.CameraMode.PER_IMAGE
    _extract(database, pictures, mode, "SIMPLE_PINHOLE")
    with pycolmap.Database.open(str(database)) as opened:
        for camera in opened.read_all_cameras():
            width, height = camera.width, camera.height
            camera.params = [(width**2 + height**2) ** 0.5, width / 2, height / 2]
            opened.update_camera(camera)
    pycolmap.match_exhaustive(str(database))
    unfinished = workspace / "mapping"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    models = pycolmap.incremental_mapping(str(database), str(pictures), str(unfinished))
    if not models:
        raise RuntimeError(
            f"COLMAP finds no common points in the pictures of {pictures}; take more of them, sharp, from neighbouring"
            " places, so that each part of the scene is on at least three"
        )
    best = max(models, key=lambda number: models[number].num_reg_images())
    target = workspace / "sparse" / "0"
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    (unfinished / str(best)).rename(target)
    shutil.rmtree(unfinished)
    return target


def triangulate(
    pictures: Path,
    cameras: Mapping[str, ColmapCamera],
    images: Mapping[str, ColmapImage],
    pairs: Iterable[tuple[str, str]],
    workspace: Path,
) -> Path:
    """Points for known cameras.

    Args:
        pictures: Folder of photographs.
        cameras: Of each photograph, by file name.
        images: Their poses; camera ids and keypoints are not read.
        pairs: Which photographs to match.
        workspace: Gets `database.db` and `sparse`.

    Returns:
        The model's folder; the model may have no points.

    Raises:
        ImportError: See `load_pycolmap`.
    """
    pycolmap = load_pycolmap()
    database = _fresh_database(workspace)
    _extract(database, pictures, pycolmap.CameraMode.PER_IMAGE, "PINHOLE", sorted(images))
    model = ColmapModel({}, {}, no_points())
    with pycolmap.Database.open(str(database)) as opened:
        for record in opened.read_all_images():
            known, image = cameras[record.name], images[record.name]
            camera = opened.read_camera(record.camera_id)
            camera.params = list(known.params)
            opened.update_camera(camera)
            model.cameras[record.camera_id] = known
            placed = (image.name, record.camera_id, image.quaternion, image.translation)
            model.images[record.image_id] = ColmapImage(*placed, image.keypoints, image.point_ids)
    listed = workspace / "pairs.txt"
    listed.write_text("".join(f"{first} {second}\n" for first, second in pairs), encoding="utf8")
    pycolmap.match_image_pairs(str(database), pairing_options=pycolmap.ImportedPairingOptions(match_list_path=listed))
    sparse = workspace / "sparse"
    write_colmap_model(sparse, model)
    known = pycolmap.Reconstruction(str(sparse))
    pycolmap.triangulate_points(known, str(database), str(pictures), str(sparse))
    return sparse


def dense_program(colmap: str = "colmap") -> str | None:
    """What can compute dense stereo here: `pycolmap`, the name of an installed program, or None.

    Args:
        colmap: The program to look for.
    """
    if not torch.cuda.is_available():
        return None
    if load_pycolmap().has_cuda:
        return "pycolmap"
    return shutil.which(colmap)


def dense_stereo(program: str, pictures: Path, model: Path, workspace: Path) -> Path:
    """COLMAP's dense stereo; returns the folder of `<file name>.geometric.bin`.

    Args:
        program: From `dense_program`.
        pictures: Folder of photographs.
        model: With points.
        workspace: Gets `dense`.

    Raises:
        RuntimeError: The program failed.
    """
    dense = workspace / "dense"
    if program == "pycolmap":
        pycolmap = load_pycolmap()
        pycolmap.undistort_images(str(dense), str(model), str(pictures))
        pycolmap.patch_match_stereo(str(dense))
    else:
        paths = ["--image_path", pictures, "--input_path", model, "--output_path", dense]
        _run([program, "image_undistorter", *paths])
        _run([program, "patch_match_stereo", "--workspace_path", dense])
    return dense / "stereo" / "depth_maps"


def fuse_stereo(program: str, dense: Path, output: Path) -> None:
    """Fuse the geometric maps of a dense workspace to a point cloud; raises as `dense_stereo`."""
    if program == "pycolmap":
        pycolmap = load_pycolmap()
        pycolmap.stereo_fusion(str(output), str(dense), output_type="ply")
    else:
        _run([program, "stereo_fusion", "--workspace_path", dense, "--output_path", output])


def _fresh_database(workspace: Path) -> Path:
    workspace.mkdir(parents=True, exist_ok=True)
    for path in workspace.glob(f"{DATABASE}*"):
        path.unlink()
    return workspace / DATABASE


def _extract(database: Path, pictures: Path, mode: object, model: str, names: Sequence[str] = ()) -> None:
    pycolmap = load_pycolmap()
    options = pycolmap.ImageReaderOptions(camera_model=model)
    chosen = {"image_names": list(names)} if names else {}
    pycolmap.extract_features(str(database), str(pictures), camera_mode=mode, reader_options=options, **chosen)


def _run(words: Sequence[object]) -> None:
    command = [str(word) for word in words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise RuntimeError(f"'{' '.join(command[:2])}' failed: {' '.join(last) or 'no message'}")
