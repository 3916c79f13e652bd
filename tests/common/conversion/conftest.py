"""The tiny scene of tests/scenes.py, large enough to compare pictures."""

import pytest

from tests.scenes import make_scene


@pytest.fixture(scope="session")
def rendered_scene():
    return make_scene(num_views=4, size=(160, 120), same_focal=True)
