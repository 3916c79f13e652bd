import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from common.baselines.reconstruction import source_cameras
from common.baselines.visual_hull import VisualHull
from common.bounding_cubes import subject_cube
from common.datasets.dtu import read_dtu
from common.datasets.loading import load_mask
from common.datasets.writers.dtu import write_dtu
from common.demo.blocks import page_html
from common.demo.compare import Contestant
from common.demo.surface_section import (
    SurfaceOutcome,
    compare_surfaces,
    surface_numbers,
    surface_section,
    surface_table,
)
from common.demo.surfaces import REGIONS, SurfaceScene, generated_surface, scored, true_surface, visible
from common.metrics.meshes import MESH_PROTOCOLS, MeshProtocol, MeshScores
from common.renderer import SurfaceMesh
from tests.common.demo.test_report import Page
from tests.scenes import SPHERE_CENTER, SPHERE_RADIUS, make_scene, surface


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    write_dtu(folder, make_scene(num_views=3, centered=True))
    scene = read_dtu(folder, "toy")
    cube = subject_cube(source_cameras(scene, [0, 1, 2]))
    mesh = surface()
    return SurfaceScene(scene, [0, 1, 2], true_surface((mesh.vertices, mesh.faces), cube))


@pytest.fixture(scope="module")
def few():
    """Make scoring cheap: the points of the page's protocol are many."""
    with pytest.MonkeyPatch.context() as patch:
        cheap = replace(MESH_PROTOCOLS["sampled"], num_points=5_000)
        patch.setattr("common.demo.surface_section.scored", partial(scored, protocol=cheap))
        yield


@pytest.fixture(scope="module")
def outcomes(one, few):
    """The second contestant has no object mask that is not empty, and so no mesh."""

    class NoMesh(VisualHull):
        def reconstruct(self, scene, source_ids):
            raise ValueError("nothing here")

    contestants = [Contestant("hull", "Hull", partial(VisualHull, 24)), Contestant("none", "<None>", NoMesh)]
    return compare_surfaces(contestants, [one])


def outcome(title, *distances):
    scores = [MeshScores(value, value, {}, MESH_PROTOCOLS["sampled"]) if value else None for value in distances]
    contestant = Contestant(title, title, VisualHull)
    return SurfaceOutcome(contestant, dict.fromkeys(REGIONS, scores), [1.0], [None] * len(distances))


def test_the_true_surface_has_no_distance_from_itself_and_a_moved_one_has_some(one):
    vertices, faces = (torch.from_numpy(part) for part in one.truth)
    few = MeshProtocol("few", "tests", None, 20_000)
    same = scored(SurfaceMesh(vertices.float(), faces), one, few)
    moved = scored(SurfaceMesh(vertices.float() + torch.tensor([0.0, 0.0, 0.1]), faces), one, few)
    for region in REGIONS:
        assert same[region].overall < 0.04
        assert 0.05 < moved[region].overall < 0.11


def test_what_is_scored_is_seen_in_the_box_and_within_the_outlines(one):
    masks = [load_mask(view) for view in one.scene.views]
    vertices, faces = visible(one.truth, one, None)
    centers = vertices[faces].mean(1)
    assert (np.abs(centers - one.cube.center) < one.cube.radius).all()
    vertices, faces = visible(one.truth, one, masks)
    off_sphere = np.abs(np.linalg.norm(vertices[faces].mean(1) - SPHERE_CENTER, axis=1) - SPHERE_RADIUS)
    assert (off_sphere < 0.02).mean() > 0.8  # the outline's pixels also show a little of the plane


def test_a_generated_scene_has_outlines_and_the_references_neighbours_as_sources(tmp_path, monkeypatch):
    def made(seed, rig, size, count, name):
        assert (seed, rig) == (7, "dtu_full")
        return make_scene(name, count, size, centered=True)

    monkeypatch.setattr("common.demo.surfaces.generate", made)
    first = generated_surface(tmp_path, 7, (64, 48))
    monkeypatch.setattr("common.demo.surfaces.generate", None)  # the second time it is only read
    second = generated_surface(tmp_path, 7, (64, 48))
    assert first.source_ids[0] == 23 and len(set(first.source_ids)) == 3
    assert second.source_ids == first.source_ids
    np.testing.assert_array_equal(second.truth[0], first.truth[0])
    assert all(load_mask(view).any() for view in second.scene.views)


def test_a_contestant_without_a_mesh_is_noted(outcomes):
    hull, none = outcomes
    assert none.scores == {region: [None] for region in REGIONS}
    assert none.meshes == [None] and len(none.seconds) == 1
    assert np.isnan(none.mean(REGIONS[0]))
    assert 0 < hull.mean("objects") < hull.mean(REGIONS[0])  # a hull has no ground
    assert hull.meshes[0].colors is not None


def test_the_table_marks_the_smallest_distance_and_does_not_hide_a_missing_mesh():
    table = surface_table([outcome("A", 1.0, 2.0), outcome("B", 4.0, None), outcome("C", 1.0, 1.0)])
    assert [row[1:] for row in table.rows[:-1]] == [["1.50", "none", "1.00"]] * 6
    assert table.strong == {(row, 3) for row in range(6)}
    assert "Means over 2 scenes" in table.caption and "200000 random points" in table.caption


def test_the_numbers_are_those_of_the_table(outcomes):
    numbers = json.loads(json.dumps(surface_numbers(outcomes)))
    hull, none = numbers["contestants"]
    assert [hull["name"], none["name"]] == ["Hull", "<None>"]
    assert hull["scenes"]["objects"][0]["overall"] == outcomes[0].mean("objects")
    assert none["scenes"]["objects"] == [None]


def test_the_section_shows_photographs_truth_and_meshes(one, outcomes):
    section = surface_section("gens", "Surfaces", ["Lead & more."], [one], outcomes)
    page = Page(page_html("T", "L", [section], "F"))
    assert [picture["alt"] for picture in page.all("img")] == [
        *(f"Input photograph {index} of Scene 1" for index in range(3)),
        "True surface of Scene 1",
        "Scene 1 reconstructed by Hull",
    ]
    assert len(page.all("canvas")) == 2 and len(page.all("script")) == 1
    assert "No mesh: <None>." in page.texts
