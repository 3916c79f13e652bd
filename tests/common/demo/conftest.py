"""A tiny comparison of the two baselines on a sphere before a plane, measured once for all tests."""

from functools import partial

import numpy as np
import pytest

from common.baselines.nearest_view import NearestView
from common.baselines.plane_sweep_blending import PlaneSweepBlending, PlaneSweepSettings
from common.datasets.dtu import read_dtu
from common.datasets.rendered_scene import RenderedScene
from common.datasets.writers.dtu import write_dtu
from common.demo.compare import Contestant, compare
from common.demo.scenes import DemoScene, HeldOut
from common.metrics.protocols import find_protocol
from tests.scenes import camera_pose, render, surface

SIZE = (96, 64)
INTRINSICS = np.array([[115.0, 0.0, 47.5], [0.0, 115.0, 31.5], [0.0, 0.0, 1.0]])


@pytest.fixture(scope="session")
def demo_scene(tmp_path_factory):
    angles = [(0.2 * column, 0.66 + 0.1 * row) for row in range(2) for column in range(4)]
    views = tuple(render(INTRINSICS, camera_pose(a, e, 0.0), SIZE) for a, e in angles)
    folder = tmp_path_factory.mktemp("toy")
    write_dtu(folder, RenderedScene("toy", views, (2.0, 4.5), surface()))
    held_out = (HeldOut(1, (0, 2, 5)), HeldOut(6, (5, 7, 2)), HeldOut(3, (2, 7, 6)))
    return DemoScene("Toy <scene>", "Made & checked by hand.", read_dtu(folder, "toy"), held_out, frames_per_leg=2)


@pytest.fixture(scope="session")
def comparison(demo_scene):
    """The plane sweep stands in for a method, so that it gets a video."""
    contestants = [
        Contestant("plane_sweep", "Plane sweep", partial(PlaneSweepBlending, PlaneSweepSettings(planes=32))),
        Contestant("nearest", "Nearest photograph", NearestView, is_baseline=True),
    ]
    return compare(contestants, [demo_scene], find_protocol("standard"), lpips_missing="no <weights>", with_video=True)
