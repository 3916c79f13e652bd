"""Cameras of the published layouts, checked on real photographs: see tests/epipolar.py."""

import dataclasses

import numpy as np
import pytest

from common.datasets.dtu import read_dtu
from common.datasets.llff import read_llff
from common.datasets.mvsnet_folder import read_mvsnet_folder
from common.datasets.nerf_synthetic import read_nerf_synthetic
from common.datasets.real_iconic import read_real_iconic
from common.datasets.xscale import read_xscale
from tests.epipolar import epipolar_distances, matched_features, median_epipolar_distance

LIMIT = 1.2  # pixels

SCENES = {
    "dtu": (lambda root: read_dtu(root / "dtu", "scan24"), [(23, 24), (0, 10), (33, 24)]),
    "dtu_raw": (lambda root: read_dtu(root / "dtu", "scan24", "raw"), [(22, 23), (23, 24), (24, 33)]),
    "llff_4": (lambda root: read_llff(root / "nerf_llff_data" / "fern", 4), [(0, 3), (5, 12), (17, 9)]),
    "llff_8": (lambda root: read_llff(root / "nerf_llff_data" / "fern", 8), [(0, 3), (5, 12), (17, 9)]),
    "real_iconic": (lambda root: read_real_iconic(root / "nerf_llff_data" / "fern", 8), [(0, 3), (5, 12), (17, 9)]),
    "lego": (lambda root: read_nerf_synthetic(root / "nerf_synthetic" / "lego"), [(49, 38), (12, 57), (47, 48)]),
    "xscale_8": (lambda root: read_xscale(root / "xscale" / "sceaux", 8), [(0, 1), (4, 5), (8, 7)]),
    "mvsnet_folder": (lambda root: read_mvsnet_folder(root / "mvsnet_castle"), [(0, 1), (4, 5), (8, 7)]),
}


@pytest.mark.parametrize("name", SCENES)
def test_matched_features_lie_on_their_epipolar_lines(real_data, name):
    read, pairs = SCENES[name]
    scene = read(real_data)
    shrink = 2 if name in ("dtu_raw", "llff_4") else 1
    num_features = 2000 if name == "dtu" else 1000
    assert max(median_epipolar_distance(scene, *pair, num_features, shrink) for pair in pairs) < LIMIT


@pytest.fixture(scope="module")
def fern_matches(real_data):
    scene = read_llff(real_data / "nerf_llff_data" / "fern", 8)
    return [matched_features(scene, *pair) for pair in [(0, 3), (5, 12), (17, 9)]]


def turned(view, left=None, right=None):
    pose = view.world_to_cam
    if left is not None:
        pose = np.diag([*left, 1.0]) @ pose
    if right is not None:
        pose = pose @ np.diag([*right, 1.0])
    return dataclasses.replace(view, world_to_cam=pose)


def transposed(view):
    pose = view.world_to_cam.copy()
    pose[:3, :3] = pose[:3, :3].T
    return dataclasses.replace(view, world_to_cam=pose)


def scaled(view, factor):
    return dataclasses.replace(view, intrinsics=np.diag([factor, factor, 1.0]) @ view.intrinsics)


@pytest.mark.parametrize(
    "mistake",
    [
        lambda view: turned(view, left=(1, -1, -1)),
        lambda view: turned(view, left=(-1, 1, -1)),
        lambda view: turned(view, left=(1, 1, -1)),
        transposed,
        lambda view: dataclasses.replace(view, world_to_cam=np.linalg.inv(view.world_to_cam)),
        lambda view: scaled(view, 4.0),
        lambda view: scaled(view, 0.5),
    ],
    ids=["opengl axes", "left-right", "mirrored", "transposed", "inverse", "forgotten scale", "scaled twice"],
)
def test_the_check_finds_every_usual_mistake(fern_matches, mistake):
    medians = [np.median(epipolar_distances(mistake(a), mistake(b), *points)) for a, b, *points in fern_matches]
    assert max(medians) > 3 * LIMIT
