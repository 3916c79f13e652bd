from benchmarks.gens_quality import report
from common.baselines.visual_hull import VisualHull
from common.demo.compare import Contestant
from common.demo.surface_section import SurfaceOutcome
from common.demo.surfaces import REGIONS
from common.metrics.meshes import MESH_PROTOCOLS, MeshScores


def row(title, *distances):
    scores = [MeshScores(value, value, {}, MESH_PROTOCOLS["sampled"]) if value else None for value in distances]
    return SurfaceOutcome(Contestant(title, title, VisualHull), dict.fromkeys(REGIONS, scores), [1.0])


def test_the_report_compares_with_the_better_method_and_does_not_hide_a_missing_mesh():
    text = report([row("GenS", 1.0, 2.0), row("hull", 8.0, 8.0), row("fusion", 2.0, 4.0)])
    assert text.count("GenS: 0.50 times the distance of the better classical method") == 2
    missing = report([row("GenS", 1.0, None), row("hull", 8.0, 8.0), row("fusion", 2.0, 4.0)])
    assert "1.00   none" in missing and "GenS: nan times" in missing
