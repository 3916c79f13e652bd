"""The classical surfaces of a sphere before a plane, from three photographs, against the true surface."""

import dataclasses

import numpy as np
import pytest
import torch
import trimesh

from common.baselines.depth_fusion import DepthFusion, DepthFusionSettings, DepthView, fuse
from common.baselines.reconstruction import source_cameras
from common.baselines.source_views import TargetView
from common.baselines.visual_hull import VisualHull, hull_field, outline_distance
from common.bounding_cubes import Cube
from common.cameras import Camera
from common.datasets.dtu import read_dtu
from common.datasets.rendered_scene import RenderedScene
from common.datasets.writers.dtu import write_dtu
from common.meshes.cleaning import faces_seen_by, keep_faces
from common.metrics.images import psnr
from common.metrics.meshes import MeshProtocol, score_surface
from tests.scenes import SPHERE_CENTER, SPHERE_RADIUS, camera_pose, render, surface

SIZE, INTRINSICS = (144, 112), np.array([[170.0, 0.0, 71.5], [0.0, 170.0, 55.5], [0.0, 0.0, 1.0]])
SOURCES = [0, 1, 2]
PROTOCOL = MeshProtocol("few", "tests", None, 10_000)
CUBE = Cube(np.array([0.1, -0.05, 0.4]), 0.7)
BEFORE_AND_AROUND = [(0.0, 0.7), (-0.18, 0.62), (0.18, 0.62), (2.1, 0.5), (-2.1, 0.5), (1.2, 1.2)]


@pytest.fixture(scope="module")
def photographed():
    views = tuple(render(INTRINSICS, camera_pose(a, e, 0.0), SIZE) for a, e in BEFORE_AND_AROUND)
    return RenderedScene("toy", views, (2.0, 4.5), surface())


@pytest.fixture(scope="module")
def scene(photographed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    write_dtu(folder, photographed)
    return read_dtu(folder, "toy")


@pytest.fixture(scope="module")
def fused(scene):
    fusion = DepthFusion(96, CUBE, DepthFusionSettings(planes=64))
    fusion.prepare(scene, SOURCES)
    return fusion


def arrays(mesh):
    return mesh.vertices.double().numpy(), mesh.faces.numpy()


def shown(vertices, faces, cameras):
    """The part of a mesh that lies in the box and that cameras see."""
    inside = (np.abs(vertices[faces].mean(1) - CUBE.center) < CUBE.radius).all(1)
    return keep_faces(vertices, faces, inside & faces_seen_by(vertices, faces, cameras))


def truth(parts=("sphere", "plane")):
    sphere = trimesh.creation.icosphere(subdivisions=4, radius=SPHERE_RADIUS)
    sphere.apply_translation(SPHERE_CENTER)
    x, y = np.meshgrid(np.linspace(-0.7, 0.7, 61) + CUBE.center[0], np.linspace(-0.7, 0.7, 61) + CUBE.center[1])
    first = (np.arange(60)[:, None] * 61 + np.arange(60)).ravel()
    faces = np.concatenate([np.stack([first, first + 1, first + 62], 1), np.stack([first, first + 62, first + 61], 1)])
    plane = trimesh.Trimesh(np.stack([x, y, 0 * x], -1).reshape(-1, 3), faces, process=False)
    both = trimesh.util.concatenate([{"sphere": sphere, "plane": plane}[part] for part in parts])
    return np.asarray(both.vertices), np.asarray(both.faces)


def test_fused_depth_is_the_surface_that_the_photographs_show(scene, fused):
    cameras = source_cameras(scene, SOURCES)
    scores = score_surface(shown(*arrays(fused.mesh()), cameras), shown(*truth(), cameras), PROTOCOL)
    assert scores.accuracy < 0.025 and scores.completeness < 0.045


def test_a_fused_surface_has_no_back(fused):
    """Behind every depth the volume ends after some steps; that rim is no surface."""
    vertices, _ = arrays(fused.mesh())
    assert vertices[:, 2].min() > -0.1


def test_fused_depth_shows_the_colours_of_the_photographs(scene, photographed, fused):
    view = photographed.views[0]
    seen = fused.render(source_cameras(scene, [0])[0])
    known = seen.opacity.numpy() > 0
    assert known.mean() > 0.2
    assert np.median(np.abs(seen.depth.numpy() - view.depth)[known]) < 0.02
    assert psnr(seen.rgb.numpy()[known][None], (view.image / np.float32(255))[known][None]) > 33


def test_exact_depth_maps_give_a_surface_finer_than_the_grid(photographed):
    known = []
    for index in SOURCES:
        view = photographed.views[index]
        target = TargetView(view.intrinsics, view.world_to_cam, *view.depth.shape, photographed.near_far)
        known.append(DepthView(target, np.where(view.depth > 0, view.depth, np.float32(np.nan))))
    box = torch.from_numpy(np.stack([CUBE.center - CUBE.radius, CUBE.center + CUBE.radius]))
    vertices, _ = arrays(fuse(known, box, 48, 4.0))
    step = 2 * CUBE.radius / 47
    distance = np.minimum(
        np.abs(np.linalg.norm(vertices - SPHERE_CENTER, axis=1) - SPHERE_RADIUS), np.abs(vertices[:, 2])
    )
    assert np.median(distance) < 0.03 * step
    assert np.mean(distance) < 0.15 * step


def test_the_hull_of_many_views_is_the_sphere_and_of_few_contains_it(scene):
    cameras = source_cameras(scene, range(6))
    spans = []
    for sources in (SOURCES, range(6)):
        vertices, faces = arrays(VisualHull(64, CUBE).reconstruct(scene, list(sources)))
        radii = np.linalg.norm(vertices - SPHERE_CENTER, axis=1)
        assert radii.min() > SPHERE_RADIUS - 0.02
        assert trimesh.Trimesh(vertices, faces, process=False).is_watertight
        spans.append(np.mean(radii) - SPHERE_RADIUS)
    assert spans[1] < 0.02 < 0.1 < spans[0]
    scores = score_surface(shown(vertices, faces, cameras), shown(*truth(["sphere"]), cameras), PROTOCOL)
    assert scores.overall < 0.02


def test_the_outline_lies_between_the_pixels():
    mask = np.zeros((5, 8), bool)
    mask[:, 3:] = True
    np.testing.assert_allclose(outline_distance(mask)[2], [2.5, 1.5, 0.5, -0.5, -1.5, -2.5, -3.5, -4.5])
    whole = outline_distance(np.ones((5, 8), bool))
    assert np.isfinite(whole).all() and (whole < 0).all()


def test_the_field_of_a_hull_is_a_length_at_the_depth_of_the_point():
    mask = np.zeros((40, 40), bool)
    mask[:, 20:] = True
    camera = Camera(
        torch.tensor([[50.0, 0, 19.5], [0, 50, 19.5], [0, 0, 1]]).double(), torch.eye(4).double(), 40, 40, (1.0, 9.0)
    )
    points = torch.tensor([[0.2, 0.0, 2.0], [-0.2, 0.0, 4.0], [0.0, 0.0, 3.0], [0.2, 0.0, -1.0]])
    found = hull_field([camera], [mask])(points)
    torch.testing.assert_close(found[:3], torch.tensor([-0.2, 0.2, 0.0]), atol=1e-5, rtol=0)
    assert found[3] > 0


def test_what_is_missing_is_said(scene, tmp_path):
    unmasked = dataclasses.replace(scene.views[1], mask=None)
    bare = dataclasses.replace(scene, views=(scene.views[0], unmasked))
    with pytest.raises(ValueError, match=r"visual hull of scene toy needs an object mask .* view 1 has none"):
        VisualHull().prepare(bare, [0, 1])
    with pytest.raises(ValueError, match="at least 2 source views, got 1"):
        DepthFusion().prepare(scene, [0])
    unbounded = dataclasses.replace(scene, views=(scene.views[0], dataclasses.replace(scene.views[1], near_far=None)))
    with pytest.raises(ValueError, match="source view 1 of scene toy has no depth bounds"):
        DepthFusion().prepare(unbounded, [0, 1])
    with pytest.raises(ValueError, match="no zero crossing in the box"):
        DepthFusion(16, Cube(np.array([0.0, 0, 50]), 0.1), DepthFusionSettings(planes=4)).prepare(scene, SOURCES)
    with pytest.raises(RuntimeError, match="DepthFusion renders nothing before"):
        DepthFusion().render(source_cameras(scene, [0])[0])
    assert VisualHull().mesh() is None
