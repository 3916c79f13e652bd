"""A sphere before a plane, photographed from a small grid of positions, written to disk and read back."""

import numpy as np
import pytest

from common.datasets.dtu import read_dtu
from common.datasets.rendered_scene import RenderedScene
from common.datasets.writers.dtu import write_dtu
from tests.scenes import camera_pose, render, surface

SIZE = (96, 72)
INTRINSICS = np.array([[115.0, 0.0, 47.5], [0.0, 115.0, 35.5], [0.0, 0.0, 1.0]])
ANGLES = [(0.0, 0.7), (-0.12, 0.66), (0.12, 0.66), (0.02, 0.82), (0.5, 0.9)]  # azimuth, elevation; view 0 is the target


@pytest.fixture(scope="session")
def photographed():
    views = tuple(render(INTRINSICS, camera_pose(a, e, 0.0), SIZE) for a, e in ANGLES)
    return RenderedScene("toy", views, (2.0, 4.5), surface())


@pytest.fixture(scope="session")
def scene(photographed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    write_dtu(folder, photographed)
    return read_dtu(folder, "toy")
