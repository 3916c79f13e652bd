"""Writes DTU as SparseNeuS packs it for testing; the layout is described in `common/datasets/dtu_test.py`."""

from pathlib import Path

from common.datasets.rendered_scene import RenderedScene
from common.datasets.writers.dtu import NUM_INTERVALS
from common.io.images import write_image
from common.io.masks import write_mask
from common.io.mvsnet_camera import MvsnetCamera, write_mvsnet_camera


def write_dtu_test(folder: Path, scene: RenderedScene) -> None:
    """Write pictures and object masks of a scan, and the cameras that all scans share."""
    place = Path(folder) / scene.name
    near, far = scene.near_far
    for index, view in enumerate(scene.views):
        write_image(place / "image" / f"{index:06d}.png", view.image)
        write_mask(place / "mask" / f"{index:03d}.png", view.mask)
        camera = MvsnetCamera(view.intrinsics, view.world_to_cam, (near, (far - near) / NUM_INTERVALS))
        write_mvsnet_camera(Path(folder) / "cameras" / f"{index:08d}_cam.txt", camera)
