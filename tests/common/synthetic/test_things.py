import numpy as np
import pytest

from common.synthetic.arrangement import arrange_things
from common.synthetic.materials import Palette
from common.synthetic.surroundings import surroundings
from common.synthetic.textures import PATTERNS
from common.synthetic.things import MAKERS
from common.synthetic.things.town import TOWN_MAKERS


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_texture_is_a_picture_that_its_generator_decides(pattern):
    first, second, other = (PATTERNS[pattern](np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == (512, 512, 3)
    assert first.min() >= 0
    assert first.max() <= 1
    assert first.std(axis=(0, 1)).max() > 0.004
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).mean() > 0.01


@pytest.mark.parametrize("maker", [*MAKERS, *TOWN_MAKERS], ids=lambda maker: maker.__name__)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_thing_stands_on_the_ground_in_the_size_of_a_toy(maker, seed):
    palette = Palette(np.random.default_rng(seed))
    thing = maker(palette)
    vertices = np.concatenate([part.vertices for part in thing])
    assert np.isfinite(vertices).all()
    assert vertices[:, 2].min() == pytest.approx(0, abs=4.0)
    extent = np.ptp(vertices, axis=0)
    assert 15 < extent.max() < 260
    for part in thing:
        assert 0 <= part.material < len(palette.materials)
        assert part.faces.min() >= 0
        assert part.faces.max() < len(part.vertices)
        np.testing.assert_allclose(np.linalg.norm(part.normals, axis=1), 1, atol=1e-6)


def test_things_of_an_arrangement_keep_to_the_table():
    for seed in range(3):
        rng = np.random.default_rng(seed)
        things = arrange_things(rng, Palette(rng))
        vertices = np.concatenate([part.vertices for part in things])
        assert np.hypot(vertices[:, 0], vertices[:, 1]).max() < 290
        assert len(things) >= 4


@pytest.mark.parametrize("kind", ["backdrop", "room", "table", "plate"])
def test_surroundings_begin_with_a_ground_that_faces_up(kind):
    rng = np.random.default_rng(4)
    ground, *_ = surroundings(rng, Palette(rng), kind, 100.0)
    inside = np.hypot(ground.vertices[:, 0], ground.vertices[:, 1]) < 90
    top = inside & (ground.vertices[:, 2] > -1)
    assert top.sum() > 100
    np.testing.assert_allclose(ground.normals[top], np.tile([0.0, 0, 1], (top.sum(), 1)), atol=1e-6)
    np.testing.assert_allclose(ground.vertices[top, 2], 0, atol=1e-9)
