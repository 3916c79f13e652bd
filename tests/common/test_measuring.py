import pytest

from common.measuring import peak_memory, run_isolated

JOBS = """
import os
import numpy as np

def count(report, number):
    for index in range(number):
        report(index)
    return number

def allocate(report, megabytes):
    return float(np.ones(megabytes * 131072).sum())

def refuse(report):
    raise ValueError("expected 3, got 4")

def vanish(report):
    os._exit(7)
"""


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """Functions in a file of their own: what runs in another process must be importable there by name."""
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "measured_jobs.py").write_text(JOBS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        import measured_jobs

        yield measured_jobs


def test_results_and_reports_come_back(jobs):
    reports = []
    result, peak = run_isolated(jobs.count, 3, on_report=reports.append)
    assert result == 3
    assert reports == [0, 1, 2]
    assert peak > 5e6


def test_peak_memory_is_that_of_the_work_and_not_of_the_caller(jobs):
    ballast = bytearray(300_000_000)
    ballast[::4096] = b"x" * len(ballast[::4096])
    assert peak_memory() > 300e6
    _, small = run_isolated(jobs.allocate, 1)
    _, large = run_isolated(jobs.allocate, 101)
    assert small < 200e6
    assert large - small == pytest.approx(100 * 2**20, rel=0.1)
    del ballast


def test_an_error_arrives_with_its_words(jobs):
    with pytest.raises(ValueError, match="expected 3, got 4"):
        run_isolated(jobs.refuse)


def test_a_process_that_dies_is_noticed(jobs):
    with pytest.raises(RuntimeError, match="vanish ended with code 7, without answer"):
        run_isolated(jobs.vanish)
