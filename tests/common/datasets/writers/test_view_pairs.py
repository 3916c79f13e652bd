import numpy as np
import trimesh

from common.datasets.rendered_scene import RenderedScene, RenderedView
from common.datasets.writers.view_pairs import view_pairs
from common.synthetic.ray_casting import RayCaster, cast_depth
from common.synthetic.rigs import look_at

INTRINSICS = np.array([[80.0, 0, 31.5], [0, 80, 23.5], [0, 0, 1]])


def scene_seen_from(azimuths):
    """A ball on a sheet, seen from points on a circle at the given degrees."""
    ball = trimesh.creation.icosphere(subdivisions=3, radius=25.0)
    sheet = trimesh.creation.box((200, 200, 2), trimesh.transformations.translation_matrix([0, 0, -26]))
    mesh = trimesh.util.concatenate([ball, sheet])
    caster = RayCaster(mesh.vertices, mesh.faces)
    views = []
    for azimuth in np.deg2rad(azimuths):
        world_to_cam = look_at(np.array([300 * np.sin(azimuth), -300 * np.cos(azimuth), 150]), np.zeros(3))
        depth = cast_depth(caster, INTRINSICS, world_to_cam, (64, 48))
        image = np.zeros((48, 64, 3), np.uint8)
        views.append(RenderedView(image, depth, depth > 0, INTRINSICS, world_to_cam))
    return RenderedScene("ball", tuple(views), (100.0, 600.0), mesh)


def test_the_best_source_is_seen_under_about_five_degrees():
    pairs = view_pairs(scene_seen_from([0, 1, 6, 30, 60, 180]))
    assert pairs[0][0][0] == 2
    scores = dict(pairs[0])
    assert scores[2] > scores[3] > scores[4]


def test_scores_fall_and_no_view_is_its_own_source():
    pairs = view_pairs(scene_seen_from(np.arange(0, 120, 10)), count=5)
    for view, sources in pairs.items():
        assert len(sources) == 5
        assert view not in [source for source, _ in sources]
        scores = [score for _, score in sources]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] > 0


def test_points_seen_by_one_view_alone_do_not_count():
    # The camera below the sheet shares nothing with those above it.
    above = scene_seen_from([0, 8])
    below = look_at(np.array([0.0, -300, -300]), np.array([0, 0, -26.0]))
    caster = RayCaster(above.mesh.vertices, above.mesh.faces)
    depth = cast_depth(caster, INTRINSICS, below, (64, 48))
    view = RenderedView(np.zeros((48, 64, 3), np.uint8), depth, depth > 0, INTRINSICS, below)
    scene = RenderedScene("ball", (*above.views, view), above.near_far, above.mesh)
    scores = dict(view_pairs(scene)[0])
    assert scores[2] < 0.05 * scores[1]
