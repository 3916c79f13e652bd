import numpy as np
import pytest
import torch

from benchmarks.gens_quality import REGIONS, QualityScene, Row, _measure, report, scored, true_surface, visible
from common.baselines.reconstruction import source_cameras
from common.bounding_cubes import subject_cube
from common.datasets.dtu import read_dtu
from common.datasets.loading import load_mask
from common.datasets.writers.dtu import write_dtu
from common.metrics.meshes import MESH_PROTOCOLS, MeshProtocol, MeshScores
from common.renderer import SurfaceMesh
from tests.scenes import SPHERE_CENTER, SPHERE_RADIUS, make_scene, surface


def row(title, *distances):
    scores = [MeshScores(value, value, {}, MESH_PROTOCOLS["sampled"]) if value else None for value in distances]
    return Row(title, dict.fromkeys(REGIONS, scores), [1.0])


@pytest.fixture(scope="module")
def quality_scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    write_dtu(folder, make_scene(num_views=3, centered=True))
    scene = read_dtu(folder, "toy")
    cube = subject_cube(source_cameras(scene, [0, 1, 2]))
    mesh = surface()
    return QualityScene(scene, [0, 1, 2], true_surface((mesh.vertices, mesh.faces), cube))


def test_the_report_compares_with_the_better_method_and_does_not_hide_a_missing_mesh():
    text = report([row("GenS", 1.0, 2.0), row("hull", 8.0, 8.0), row("fusion", 2.0, 4.0)])
    assert text.count("GenS: 0.50 times the distance of the better classical method") == 2
    missing = report([row("GenS", 1.0, None), row("hull", 8.0, 8.0), row("fusion", 2.0, 4.0)])
    assert "1.00   none" in missing and "GenS: nan times" in missing


def test_the_true_surface_has_no_distance_from_itself_and_a_moved_one_has_some(quality_scene):
    vertices, faces = (torch.from_numpy(part) for part in quality_scene.truth)
    few = MeshProtocol("few", "tests", None, 20_000)
    same = scored(SurfaceMesh(vertices.float(), faces), quality_scene, few)
    moved = scored(SurfaceMesh(vertices.float() + torch.tensor([0.0, 0.0, 0.1]), faces), quality_scene, few)
    for region in REGIONS:
        assert same[region].overall < 0.04
        assert 0.05 < moved[region].overall < 0.11


def test_what_is_scored_is_seen_in_the_box_and_within_the_outlines(quality_scene):
    masks = [load_mask(view) for view in quality_scene.scene.views]
    vertices, faces = visible(quality_scene.truth, quality_scene, None)
    centers = vertices[faces].mean(1)
    assert (np.abs(centers - quality_scene.cube.center) < quality_scene.cube.radius).all()
    vertices, faces = visible(quality_scene.truth, quality_scene, masks)
    off_sphere = np.abs(np.linalg.norm(vertices[faces].mean(1) - SPHERE_CENTER, axis=1) - SPHERE_RADIUS)
    assert (off_sphere < 0.02).mean() > 0.8  # the outline's pixels also show a little of the plane


def test_a_method_without_a_mesh_is_noted(quality_scene):
    def fails(one):
        raise ValueError("nothing here")

    result = Row("GenS", {region: [] for region in REGIONS}, [])
    assert _measure(result, fails, quality_scene) is None
    assert result.scores == {region: [None] for region in REGIONS} and len(result.seconds) == 1
