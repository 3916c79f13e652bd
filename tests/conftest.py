"""Fixtures for every test: device, golden arrays, real data where the machine has it."""

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
    """A Python file of tests/golden as a module (they import each other by bare name)."""
    path = TESTS / "golden" / relative
    if path.stem in sys.modules:
        return sys.modules[path.stem]
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


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
