import pytest
import torch

from benchmarks.gefu_interrupted_training import compare_runs, first_difference


@pytest.mark.slow
def test_a_run_that_is_killed_three_times_ends_like_one_that_is_not(dtu_tree, tmp_path):
    """At the start, between steps and while a checkpoint is written; benchmarks/ has the long version."""
    moments = compare_runs(dtu_tree, tmp_path, kills=3, steps=6)
    assert [moment.split("@")[0] for moment in moments] == ["start", "step", "write"]


def test_the_comparison_sees_a_single_bit():
    first = {"net": {"a": torch.zeros(3)}, "list": [1, (2, None)]}
    second = {"net": {"a": torch.tensor([0.0, 1e-45, 0.0])}, "list": [1, (2, None)]}
    assert first_difference(first, first, "x") == ""
    assert first_difference(first, second, "x") == "x.net.a"
    assert first_difference([1, (2, None)], [1, (2, 3)], "y") == "y.1.1"
    assert first_difference({"a": 1}, {"b": 1}, "z") == "z"
