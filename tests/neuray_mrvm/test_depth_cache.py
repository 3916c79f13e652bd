"""Depth maps for scenes without, and own photographs, by real COLMAP on the CPU."""

import numpy as np
import pytest
import torch

from common.baselines.depth_fusion import DepthFusionSettings
from common.baselines.view_depths import ViewDepthSettings
from common.datasets.writers.layouts import LAYOUTS
from common.io.depth_maps import read_colmap_array, write_colmap_array
from common.io.images import write_image
from common.synthetic import generate
from neuray_mrvm import depth_cache, run_colmap
from neuray_mrvm.database_names import database
from neuray_mrvm.view_loading import load_views
from tools import make_depth_cache

NAME = "space/toy"
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def few_planes(monkeypatch, tmp_path):
    sweep = DepthFusionSettings(planes=40, tolerance=0.03, sweep_pixels=5000)
    monkeypatch.setattr(depth_cache, "ViewDepthSettings", lambda _: ViewDepthSettings(3, sweep))
    monkeypatch.setenv("POLYVIEW_DEPTH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def photographs():
    return generate(5, "forward", (200, 150), num_views=6, name="toy")


@pytest.fixture
def data(photographs, tmp_path):
    """The scene in a layout that has no depth maps."""
    LAYOUTS["spaces"].write(tmp_path / "data" / "spaces_dataset" / "data" / "800", photographs)
    return tmp_path / "data"


def test_the_tool_makes_maps_that_the_database_reads_and_says_how(data, photographs, capsys, monkeypatch):
    found = database(NAME, data)
    with pytest.raises(FileNotFoundError, match=r"tools/make_depth_cache\.py"):
        load_views(found, found.ids)
    before = sorted(data.rglob("*"))
    make_depth_cache.main(["--database_name", NAME, "--base_data_dir", str(data)])
    assert "6 depth maps by plane sweep on the CPU" in capsys.readouterr().out
    assert sorted(data.rglob("*")) == before  # data folders may be read-only
    depth = load_views(found, found.ids).depth[:, 0].numpy()
    truth = np.stack([view.depth for view in photographs.views])
    scale = found.depth_range("0-0")[0] / photographs.near_far[0]
    assert depth.shape == truth.shape and scale > 0
    known = (depth > 1e-3) & (truth > 0)
    assert known.mean() > 0.4
    ratio = depth[known] / truth[known]
    assert (np.abs(ratio / np.median(ratio) - 1) < 0.05).mean() > 0.7

    monkeypatch.setattr(depth_cache, "sparse_model", lambda *_: pytest.fail("made again"))
    make_depth_cache.main(["--database_name", NAME, "--base_data_dir", str(data)])
    assert "all depth maps are there" in capsys.readouterr().out


def test_a_sweep_without_neighbours_is_refused(data):
    with pytest.raises(ValueError, match="at least 1 neighbour, got 0"):
        depth_cache.make_depth_cache(database(NAME, data), num_neighbors=0)


def test_points_tighten_bounds_and_never_widen_them(data):
    found = database(NAME, data)
    near, far = found.depth_range("0-0").tolist()
    pose = found.pose("0-0")
    depths = np.linspace(near * 0.5, near * 4, 200)
    rays = np.linalg.inv(found.K("0-0")) @ np.array([100.0, 75.0, 1.0])
    points, behind = ((sign * depths[:, None] * rays - pose[:, 3]) @ pose[:, :3] for sign in (1, -1))
    bounds = depth_cache.point_bounds(found, ["0-0"], points)["0-0"]
    assert bounds[0] == pytest.approx(near) and bounds[1] < min(far, near * 5)
    assert depth_cache.point_bounds(found, ["0-0"], points[:5])["0-0"] == pytest.approx((near, far))
    assert depth_cache.point_bounds(found, ["0-0"], behind)["0-0"] == pytest.approx((near, far))


def test_own_photographs_become_a_scene(photographs, tmp_path, capsys):
    folder = tmp_path / "example" / "toy"
    for index, view in enumerate(photographs.views):
        write_image(folder / "images" / f"{index}.png", view.image)
    words = ["--example_name", "toy", "--base_data_dir", str(tmp_path), "--same_camera"]
    run_colmap.main(words)
    assert "depth maps by plane sweep on the CPU" in capsys.readouterr().out
    found = database("example/toy/100", tmp_path)
    assert len(found.ids) == 6 and found.size("1") == (100, 75)
    views = load_views(found, found.ids)
    assert (views.depth > 0).float().mean() > 0.4
    centers = np.loadtxt(folder / "cam_pts.txt")
    expected = -torch.einsum("nji,nj->ni", views.poses[:, :, :3], views.poses[:, :, 3])
    np.testing.assert_allclose(centers, expected, atol=1e-4)
    assert (folder / "points.ply").is_file() and not (folder / "database.db").exists()
    # Cameras are found up to a similarity: their distances have one ratio to the true ones.
    truth = np.stack([-view.world_to_cam[:3, :3].T @ view.world_to_cam[:3, 3] for view in photographs.views])
    order = [int(found.view(view_id).image.path.stem) for view_id in found.ids]
    apart, expected = (np.linalg.norm(c[:, None] - c, axis=-1) for c in (centers, truth[order]))
    ratio = apart[expected > 0] / expected[expected > 0]
    assert np.abs(ratio / np.median(ratio) - 1).max() < 0.1


def test_pictures_without_anything_in_common_are_refused(tmp_path):
    folder = tmp_path / "example" / "toy" / "images"
    words = ["--example_name", "toy", "--base_data_dir", str(tmp_path)]
    with pytest.raises(FileNotFoundError, match="0 pictures"):
        run_colmap.main(words)
    for index in range(3):
        write_image(folder / f"{index}.png", np.full((60, 80, 3), 60 * index, np.uint8))
    with pytest.raises(RuntimeError, match="finds no common points"):
        run_colmap.main(words)


def test_dense_stereo_is_taken_where_it_is(data, monkeypatch):
    """What COLMAP would leave is put there by hand: no CUDA is needed to test what happens with it."""
    found = database(NAME, data)

    def stereo(program, pictures, model, workspace):
        assert program == "pycolmap" and len(list(pictures.glob("*.png"))) == 6 and (model / "points3D.bin").is_file()
        for path in pictures.glob("*.png"):
            write_colmap_array(workspace / "maps" / f"{path.name}.geometric.bin", np.full((150, 200), 2.5, np.float32))
        return workspace / "maps"

    monkeypatch.setattr(depth_cache, "dense_program", lambda _: "pycolmap")
    monkeypatch.setattr(depth_cache, "dense_stereo", stereo)
    method, files = depth_cache.make_depth_cache(found)
    assert method == depth_cache.STEREO and len(files) == 6
    assert (read_colmap_array(files[3]) == 2.5).all()
