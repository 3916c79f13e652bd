"""Reconstruct a scene with Agisoft Metashape: cameras `cams.xml` and mesh `1.obj`.

    python -u scripts/run_metashape.py --root /path/to/scene
    metashape -r scripts/run_metashape.py --root /path/to/scene

Opens `project.psz` of the scene, which has the photographs (and masks, if any), aligns them, builds the mesh and saves
the project. Afterwards export the undistorted photographs to `images` in Metashape and run `xml2txt.py`; or leave them
as they are and run `tools/metashape_to_cams.py`. Steps and settings are the paper's.

Names follow the Python reference of Metashape 2.2, whose change log gives these the same meaning since 1.6.4. An
argument that another version does not know is left out and named.

This file imports nothing but Python's own library, because Metashape runs it with a Python of its own, down to 3.8.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

root = "/Your/path/to/dataset/SCENE_NAME"

OLDEST_VERSION = (1, 6)
ABSENT = (
    "the Python module Metashape is not installed: it comes with Agisoft Metashape Professional, which needs a licence;"
    " install the 'Python 3 Module' from https://www.agisoft.com/downloads/installer/ with pip, or run this file inside"
    " Metashape with `metashape -r`, or reconstruct with COLMAP and use tools/colmap_to_mvsnet.py"
)


def main(arguments=None) -> None:
    """Reconstruct the scene that the constant or the command line names; what fails is one sentence and exit code 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=root, help="folder that has project.psz; results go there")
    options = parser.parse_args(arguments)
    try:
        reconstruct(load_metashape(), Path(options.root).expanduser())
    except (OSError, RuntimeError, ValueError, ImportError) as error:
        print(f"error: {str(error).strip().splitlines()[0] if str(error).strip() else repr(error)}", file=sys.stderr)
        raise SystemExit(1) from None


def load_metashape():
    """The module Metashape.

    Raises:
        ImportError: It is absent, another package of that name, or older than the settings.
    """
    try:
        import Metashape
    except ImportError:
        raise ImportError(ABSENT) from None
    if not hasattr(Metashape, "app"):
        raise ImportError(f"the installed package called Metashape is not Agisoft's; {ABSENT}")
    version = str(getattr(Metashape.app, "version", ""))
    numbers = tuple(int(word) for word in version.split(".")[:2] if word.isdigit())
    if numbers and numbers < OLDEST_VERSION:
        raise ImportError(f"Metashape {version} names its settings differently; install version 1.6.4 or later")
    return Metashape


def reconstruct(metashape, folder: Path) -> None:
    """Align, export the cameras, build and export the mesh, for every chunk of `project.psz`, and save it.

    Args:
        metashape: The module.
        folder: Has `project.psz`; gets `cams.xml` and `1.obj`. Several chunks or frames replace each other's files.

    Raises:
        FileNotFoundError: There is no project.
        RuntimeError: A step failed; the sentence names it and says what Metashape said.
    """
    project = folder / "project.psz"
    if not project.is_file():
        raise FileNotFoundError(f"no {project}; add the photographs in Metashape and save the project there as .psz")
    document = metashape.app.document
    _step(document.open, str(project))
    chunks = list(document.chunks)
    num_frames = sum(len(chunk.frames) for chunk in chunks)
    if not num_frames:
        raise ValueError(f"{project} has no chunk with photographs; add them in Metashape and save it again")
    if num_frames > 1:
        print(f"warning: {project} has {num_frames} chunks or frames, and the last one's files replace the others'")
    for chunk in chunks:
        for frame in chunk.frames:
            _step(frame.matchPhotos, **matching_settings(metashape))
        _step(chunk.alignCameras, min_image=2, adaptive_fitting=True, reset_alignment=False)
        _report_alignment(chunk)
        _step(chunk.exportCameras, str(folder / "cams.xml"), **camera_export_settings(metashape))
        for frame in chunk.frames:
            _step(frame.buildDepthMaps, **depth_settings(metashape))
            _step(frame.buildModel, **mesh_settings(metashape))
            _step(frame.exportModel, str(folder / "1.obj"), **mesh_export_settings(metashape))
    _step(document.save)


def matching_settings(metashape) -> dict:
    """Full resolution, neighbours by the recorded positions, no limit on points."""
    return {
        "downscale": 0,
        "generic_preselection": False,
        "reference_preselection": True,
        "reference_preselection_mode": metashape.ReferencePreselectionSource,
        "filter_mask": False,
        "mask_tiepoints": True,
        "keypoint_limit": 0,
        "tiepoint_limit": 0,
        "keep_keypoints": True,
        "guided_matching": False,
        "reset_matches": False,
    }


def camera_export_settings(metashape) -> dict:
    """XML without points."""
    return {"format": metashape.CamerasFormatXML, "save_points": False, "use_initial_calibration": True}


def depth_settings(metashape) -> dict:
    """Full resolution, mild filtering, all neighbours."""
    return {"downscale": 1, "filter_mode": metashape.MildFiltering, "reuse_depth": False, "max_neighbors": -1}


def mesh_settings(metashape) -> dict:
    """A dense mesh of any shape from the depth maps."""
    return {
        "surface_type": metashape.Arbitrary,
        "interpolation": metashape.EnabledInterpolation,
        "face_count": metashape.HighFaceCount,
        "face_count_custom": 200000,
        "source_data": metashape.DepthMapsData,
        "vertex_colors": False,
        "vertex_confidence": False,
        "volumetric_masks": False,
        "keep_depth": False,
        "trimming_radius": 10,
    }


def mesh_export_settings(metashape) -> dict:
    """Everything that belongs to the surface, nothing else."""
    return {
        "texture_format": metashape.ImageFormatPNG,
        "save_texture": True,
        "save_uv": True,
        "save_normals": True,
        "save_colors": True,
        "save_confidence": False,
        "save_cameras": False,
        "save_markers": False,
        "save_comment": False,
    }


def _step(method, *arguments, **settings) -> None:
    """Run one step, without the settings that this version does not know."""
    name = method.__name__
    print(f"{name} ...", flush=True)
    while True:
        try:
            method(*arguments, **settings)
            return
        except TypeError as error:
            unknown = [setting for setting in settings if f"'{setting}'" in str(error)]
            if "keyword" not in str(error) or not unknown:
                raise RuntimeError(f"{name} of this version of Metashape takes other settings: {error}") from None
            print(f"warning: {name} does not know '{unknown[0]}', it is left out", flush=True)
            del settings[unknown[0]]
        except Exception as error:  # Metashape raises plain Exception and RuntimeError
            raise RuntimeError(f"Metashape stopped in {name}: {error}") from None


def _report_alignment(chunk) -> None:
    lost = [camera.label for camera in chunk.cameras if camera.transform is None]
    if lost:
        names = ", ".join([*lost[:10], *([f"and {len(lost) - 10} more"] if len(lost) > 10 else [])])
        print(f"warning: {len(lost)} of {len(chunk.cameras)} photographs could not be aligned: {names}")


if __name__ == "__main__":
    main()
