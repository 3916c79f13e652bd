"""Fixtures for every test: device, golden arrays, real data where the machine has it."""

import contextlib
import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

TESTS = Path(__file__).parent

# Triton decides when it is imported whether kernels are compiled or interpreted.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")


def load_golden_module(relative: str):
    """A Python file of tests/golden as a module; they import `deterministic` and their neighbours by bare name.

    Several methods have an `inputs.py`, so a bare name only means the neighbour while a file is being loaded.
    """
    path = TESTS / "golden" / relative
    name = "golden_" + relative.removesuffix(".py").replace("/", "_")
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        with bare_names_mean_neighbours(path.parent):
            sys.modules[name] = module
            spec.loader.exec_module(module)
    return sys.modules[name]


@contextlib.contextmanager
def bare_names_mean_neighbours(folder: Path):
    """Within, `import inputs` finds `inputs.py` of this folder whatever was imported before."""
    neighbours = [path.stem for path in folder.glob("*.py")]
    before = {name: sys.modules.pop(name) for name in neighbours if name in sys.modules}
    search_path = sys.path.copy()
    sys.path[:0] = [str(folder), str(TESTS / "golden")]
    try:
        yield
    finally:
        sys.path[:] = search_path
        for name in neighbours:
            sys.modules.pop(name, None)
        sys.modules.update(before)


@pytest.fixture(scope="session")
def deterministic():
    """The generator of deterministic weights and inputs."""
    return load_golden_module("deterministic.py")


@pytest.fixture(scope="session")
def golden():
    """`golden("gefu/networks")` is the mapping of arrays in tests/golden/gefu/networks.npz."""

    def read(name: str) -> dict[str, np.ndarray]:
        with np.load(TESTS / "golden" / f"{name}.npz") as arrays:
            return dict(arrays)

    return read


@pytest.fixture(scope="session")
def golden_module():
    """`golden_module("gefu/scene.py")` is that helper file as a module."""
    return load_golden_module


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real photographs; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("POLYVIEW_REAL_DATA", TESTS.parent.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real data on this machine; set POLYVIEW_REAL_DATA to a folder that has it")
    return folder


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request) -> torch.device:
    """Every device a kernel must work on."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    return torch.device(request.param)


@pytest.fixture(scope="module")
def one_thread():
    """Small steps on a busy machine: threads would mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
