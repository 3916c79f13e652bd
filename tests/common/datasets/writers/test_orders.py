import json

import pytest

from common.datasets.dtu import read_dtu
from common.datasets.writers import orders
from common.datasets.writers.layouts import LAYOUTS
from common.datasets.writers.orders import SceneOrder, make_scenes
from common.synthetic import RIGS
from tests.scenes import make_scene


@pytest.fixture
def made(monkeypatch):
    """Replaces the generator by a quick one; the list fills with the seeds it was asked for."""
    seeds = []

    def quick(seed, rig, size, num_views, name):
        seeds.append(seed)
        return make_scene(name, num_views=num_views or 3, size=size)

    monkeypatch.setattr(orders, "generate", quick)
    return seeds


def order(number, **changes):
    return SceneOrder(**({"layout": "dtu", "name": f"scan{number}", "seed": number, "size": (80, 64)} | changes))


def test_what_is_finished_is_not_made_again(made, tmp_path):
    make_scenes(tmp_path, [order(1), order(2)])
    make_scenes(tmp_path, [order(1), order(2), order(3)])
    assert made == [1, 2, 3]
    assert len(json.loads((tmp_path / "scenes.json").read_text())) == 3


def test_a_scene_that_was_interrupted_is_made_again(made, tmp_path, monkeypatch):
    def broken(folder, scene):
        raise RuntimeError("power cut")

    layout = LAYOUTS["dtu"]
    monkeypatch.setitem(LAYOUTS, "dtu", type(layout)(broken, layout.rig, layout.size, layout.scene_name))
    with pytest.raises(RuntimeError):
        make_scenes(tmp_path, [order(1)])
    monkeypatch.setitem(LAYOUTS, "dtu", layout)
    make_scenes(tmp_path, [order(1)])
    assert made == [1, 1]
    assert len(read_dtu(tmp_path, "scan1").views) == 3


def test_the_same_name_from_another_seed_is_refused(made, tmp_path):
    make_scenes(tmp_path, [order(1)])
    with pytest.raises(ValueError, match=r"has a scene scan1 made with .*'seed': 1.*not .*'seed': 9.*choose another"):
        make_scenes(tmp_path, [order(1, seed=9)])


def test_a_damaged_listing_is_named(made, tmp_path):
    (tmp_path / "scenes.json").write_text('{"dtu/scan1": ')
    with pytest.raises(ValueError, match=r"scenes.json should list finished scenes but is damaged .*; delete it"):
        make_scenes(tmp_path, [order(1)])


@pytest.mark.parametrize("name", ["../scan1", "a/b", "", ".hidden"])
def test_a_name_cannot_leave_the_folder(name):
    with pytest.raises(ValueError, match="a scene is named with letters, digits"):
        order(1, name=name)


def test_every_layout_has_a_rig_and_names_scenes_apart():
    for layout in LAYOUTS.values():
        assert layout.rig in RIGS
        assert layout.scene_name.format(number=1) != layout.scene_name.format(number=2)


@pytest.mark.slow
def test_another_process_makes_the_same_scene(tmp_path):
    wanted = [order(number, num_views=1) for number in (1, 2)]
    make_scenes(tmp_path / "two", wanted, workers=2)  # the second one in a process of its own
    make_scenes(tmp_path / "one", wanted[1:])
    paths = [path for path in (tmp_path / "one").rglob("*scan2*/*") if path.is_file()]
    assert len(paths) == 4
    for path in paths:
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
