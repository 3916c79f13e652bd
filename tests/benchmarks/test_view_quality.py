import numpy as np

from benchmarks.view_quality import report
from common.baselines.nearest_view import NearestView
from common.datasets.scene import Scene
from common.demo.compare import Comparison, Contestant, Outcome, RenderedTarget, TargetScores
from common.demo.scenes import DemoScene, HeldOut
from common.metrics.protocols import find_protocol


def outcome(title, psnr, depth_error):
    scores = [[TargetScores(value, 0.5, None, depth_error)] for value in psnr]
    targets = [[RenderedTarget(np.zeros((2, 2, 3)), np.zeros((2, 2)), 0.0, 0.25)] for _ in psnr]
    return Outcome(Contestant(title, title, NearestView), targets, scores, [], 10**8, 10**8)


def test_the_report_states_the_distance_to_the_better_baseline():
    scene = DemoScene("Scene 500", "made", Scene("scan1", ()), (HeldOut(0, (1, 2, 3)),))
    outcomes = [
        outcome("GeFu", [25.0, 27.0], 0.02),
        outcome("sweep", [21.0, 24.0], 0.03),
        outcome("nearest", [20.0, 15.0], None),
    ]
    text = report(Comparison([scene, scene], [], outcomes, find_protocol("standard"), None))
    assert "over 2 held-out views of 2 scenes: GeFu +3.50 dB against the better baseline" in text
    assert "26.00" in text and "3.00%" in text and "none" in text
