"""Writes DTU as GenS trains on it: the full-size pictures under all lights, and pseudo depths.

The layout is described in `common/datasets/dtu.py`.
"""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from common.datasets.dtu import NUM_LIGHTS, PSEUDO_DEPTH_SCALE
from common.datasets.rendered_scene import RenderedScene, RenderedView
from common.datasets.writers.dtu import LIGHT, write_dtu_full
from common.io.atomic import atomic_path
from common.io.images import write_image


def write_dtu_gens(folder: Path, scene: RenderedScene) -> None:
    """Write a scan named `scene.name` and the cameras that all scans share.

    The scene was lit once: that is light 3, and the other lights are the same pictures brighter or darker.

    Raises:
        ValueError: As `write_dtu_full`.
    """
    write_dtu_full(folder, scene)
    for index, view in enumerate(scene.views):
        for light in range(NUM_LIGHTS):
            if light != LIGHT:
                name = f"rect_{index + 1:03d}_{light}_r{5000 if index < 49 else 7000}.png"
                write_image(Path(folder) / "Rectified_raw" / scene.name / name, _exposed(view.image, light))
        with atomic_path(Path(folder) / "pseudo_depths" / scene.name / f"{index}_epoch0.npy") as temporary:
            np.save(temporary, _pseudo_depth(view))


def _exposed(image: UInt8[np.ndarray, "H W 3"], light: int) -> UInt8[np.ndarray, "H W 3"]:
    """The picture, brighter by a seventh for every light above the one it was made with, darker below."""
    gain = np.float32(1.0 + (light - LIGHT) / NUM_LIGHTS)
    return np.minimum(image * gain, 255).astype(np.uint8)


def _pseudo_depth(view: RenderedView) -> np.ndarray:
    """Every second value, in GenS's unit."""
    return (view.depth[::2, ::2] * np.float32(PSEUDO_DEPTH_SCALE)).astype(np.float32)
