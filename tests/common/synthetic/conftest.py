import pytest

from common.synthetic import generate


@pytest.fixture(scope="session")
def table_scene():
    """Six neighbouring views of a table before a backdrop."""
    return generate(3, "dtu", (80, 64), num_views=6)
