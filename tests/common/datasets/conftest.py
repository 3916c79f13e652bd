"""The tiny scene of tests/scenes.py as fixtures."""

import pytest

from tests.scenes import make_scene


@pytest.fixture(scope="session")
def rendered_scene():
    return make_scene()


@pytest.fixture(scope="session")
def make_rendered_scene():
    return make_scene
