"""Cameras of captures that people make themselves, checked on the photographs: see tests/epipolar.py."""

import dataclasses

import numpy as np
import pytest

from common.datasets.colmap import read_colmap
from common.datasets.transforms import read_transforms
from common.datasets.undistortion import distort_points
from tests.epipolar import epipolar_distances, matched_features

LIMIT = 1.2
FOX_PAIRS = [(20, 23), (5, 8), (40, 42)]
KERMIT_PAIRS = [(0, 1), (3, 4), (2, 3)]
KERMIT = {"binary": ("", {}), "text": ("", {"model": "sparse_txt"}), "undistorted": ("dense", {})}


@pytest.fixture(scope="module")
def fox(real_data):
    scene = read_transforms(real_data / "fox")
    return [matched_features(scene, *pair) for pair in FOX_PAIRS]


@pytest.fixture(scope="module")
def kermit(real_data):
    scene = read_colmap(real_data / "kermit")
    return [matched_features(scene, *pair) for pair in KERMIT_PAIRS]


def medians(matches, change=lambda view: view):
    return [np.median(epipolar_distances(change(a), change(b), *points)) for a, b, *points in matches]


def with_pose(change):
    return lambda view: dataclasses.replace(view, world_to_cam=change(view.world_to_cam))


def transposed_rotation(world_to_cam):
    result = world_to_cam.copy()
    result[:3, :3] = world_to_cam[:3, :3].T
    return result


WRONG = {
    "OpenGL axes taken for OpenCV's": with_pose(lambda pose: np.diag([1.0, -1.0, -1.0, 1.0]) @ pose),
    "LLFF axes": with_pose(lambda pose: np.array([[0.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]]) @ pose),
    "inverse": with_pose(np.linalg.inv),
    "transposed rotation": with_pose(transposed_rotation),
    "mirrored": with_pose(lambda pose: np.diag([1.0, -1.0, 1.0, 1.0]) @ pose),
    "focal length of half the size": lambda view: dataclasses.replace(
        view, intrinsics=np.diag([0.5, 0.5, 1.0]) @ view.intrinsics
    ),
}


def test_the_fox_is_right(fox):
    assert max(medians(fox)) < LIMIT


@pytest.mark.parametrize("name", KERMIT)
def test_kermit_is_right_in_all_three_forms(real_data, kermit, name):
    folder, options = KERMIT[name]
    scene = read_colmap(real_data / "kermit" / folder, **options)
    matches = kermit if name == "binary" else [matched_features(scene, *pair) for pair in KERMIT_PAIRS]
    assert max(medians(matches)) < LIMIT


@pytest.mark.parametrize("mistake", WRONG)
def test_every_wrong_convention_fails_the_check(fox, kermit, mistake):
    for matches in (fox, kermit):
        assert max(medians(matches, WRONG[mistake])) > 5 * LIMIT


def test_dropping_the_lens_of_the_fox_fails_the_check(real_data, fox):
    """Where the features lie in the photographs as they are stored, taken for those of a pinhole."""
    lens = read_transforms(real_data / "fox").views[0].distortion

    def as_stored(view, pixels):
        rays = (pixels - view.intrinsics[:2, 2]) / np.diag(view.intrinsics)[:2]
        return distort_points(rays, lens) * np.diag(view.intrinsics)[:2] + view.intrinsics[:2, 2]

    stored = [(a, b, as_stored(a, points_a), as_stored(b, points_b)) for a, b, points_a, points_b in fox]
    assert max(medians(stored)) > 2 * LIMIT
