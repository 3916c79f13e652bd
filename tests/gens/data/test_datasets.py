"""The four dataset classes: the reference's numbers on its synthetic trees, and what they refuse."""

import numpy as np
import pytest
import torch

from gens.data.datasets import BMVSDataset, DTUDataset
from gens.data.finetune_datasets import BMVSDatasetFinetune, DTUDatasetFinetune
from gens.data.geometry import ItemGeometry
from gens.data.rays import check_cube_meets_depth

INTRINSICS = {"rtol": 0, "atol": 1e-3}
POSES = {"rtol": 1e-5, "atol": 1e-5}
JPEG = {"rtol": 0, "atol": 2 / 256}
EXACT = {"rtol": 0, "atol": 0}


def thin(array, name):
    """As the fixture thins arrays out."""
    if name == "imgs":
        return array[:, :, ::8, ::8]
    if name == "masks":
        return array[:, ::8, ::8]
    if name.endswith("_ref"):
        return array[::8, ::8]
    return array[::7] if name.startswith(("rays", "color", "depth", "mask", "pseudo")) and len(array) > 100 else array


def compare(item, expected, case, pictures=EXACT):
    compared = []
    for key, value in expected.items():
        if not key.startswith(f"{case}_"):
            continue
        name = key.removeprefix(f"{case}_")
        if name not in item:
            continue
        tolerance = pictures if name in ("imgs", "color") else INTRINSICS if name == "intrs" else POSES
        found = thin(item[name].numpy(), name)
        np.testing.assert_allclose(found, value, **tolerance, err_msg=key)
        compared.append(name)
    return compared


def test_validation_items_of_dtu_are_the_reference(trees, settings, golden):
    data = settings("DTUDataset", trees / "dtu", scene="scan24", ref_view=23, num_src_view=2, light_idx=3)
    item = DTUDataset(data, training=False)[0]
    compared = compare(item, golden("gens/datasets"), "dtu_val")
    assert len(compared) == 16
    assert item["file_name"] == "scan24_view23_light3"
    assert item["hw"].tolist() == [24, 32]


def test_validation_items_of_blendedmvs_are_the_reference(trees, settings, golden):
    data = settings("BMVSDataset", trees / "bmvs", scene="59f363a8b45be22330016cad", ref_view=24, num_src_view=2)
    item = BMVSDataset(data, training=False)[0]
    assert len(compare(item, golden("gens/datasets"), "bmvs_val", JPEG)) == 15
    assert item["file_name"] == "59f363a8b45be22330016cad_view24"


def test_training_items_of_dtu_are_the_reference(trees, settings, golden):
    expected = golden("gens/datasets")
    data = settings("DTUDataset", trees / "dtu", scene="scan24", ref_view=23, num_src_view=6, light_idx=3, n_rays=64)
    item = DTUDataset(data, training=True)[0]
    order = np.argsort(item["view_ids"].numpy())
    for name, tolerance in (("view_ids", EXACT), ("intrs", INTRINSICS), ("c2ws", POSES)):
        np.testing.assert_allclose(item[name].numpy()[order], expected[f"dtu_train_{name}_sorted"], **tolerance)
    for name in ("scale_mat", "pseudo_depth_ref", "depth_ref"):
        np.testing.assert_allclose(thin(item[name].numpy(), name), expected[f"dtu_train_{name}"], **POSES)
    shapes = [len(item[name]) for name in ("rays_o", "pseudo_pts", "color")]
    assert shapes == expected["dtu_train_shapes"].tolist()


@pytest.mark.parametrize("case", ["dtu", "bmvs"])
def test_fine_tuning_is_the_reference(trees, settings, golden, case):
    expected = golden("gens/datasets")
    if case == "dtu":
        data = settings("DTUDatasetFinetune", trees / "dtu", scene="scan24", ref_view=23, factor=1.1, num_views=3)
        dataset, view = DTUDatasetFinetune(data), 1
    else:
        scene = "59f363a8b45be22330016cad"
        data = settings("BMVSDatasetFinetune", trees / "bmvs", scene=scene, ref_view=24, factor=1.1, num_views=3)
        dataset, view = BMVSDatasetFinetune(data), 0
    item = dataset.validation_item(view)
    pictures = EXACT if case == "dtu" else JPEG
    assert len(compare(item, expected, f"{case}_ft_rays{view}", pictures)) >= 10
    assert dataset.all_views == expected[f"{case}_ft_all_views"].tolist()
    np.testing.assert_allclose(dataset.geometry.near_fars, expected[f"{case}_ft_near_fars"], **POSES)
    if case == "dtu":
        assert len(dataset.pseudo_points) == expected["dtu_ft_pseudo_count"]
        np.testing.assert_allclose(dataset.pseudo_points[::997], expected["dtu_ft_pseudo_pts"], rtol=0, atol=1e-5)
        np.testing.assert_allclose(dataset.geometry.c2ws, expected["dtu_ft_c2ws"], **POSES)
        np.testing.assert_allclose(dataset.geometry.scale_factor, expected["dtu_ft_scale_factor"], rtol=1e-6)
        np.testing.assert_array_equal(dataset.masks[:, ::8, ::8], expected["dtu_ft_masks"])
    else:
        np.testing.assert_allclose(dataset.images[:, ::8, ::8], expected["bmvs_ft_imgs"], **JPEG)


def test_an_item_depends_on_its_key_alone(trees, settings):
    data = settings("DTUDataset", trees / "dtu", scene="scan24", ref_view=23, num_src_view=2, light_idx=3, n_rays=64)
    dataset = DTUDataset(data, training=True)
    first, again, other = (dataset[(0, seed)] for seed in ((1, 2), (1, 2), (1, 3)))
    assert all(torch.equal(first[name], again[name]) for name in ("view_ids", "rays_d", "color", "pseudo_pts"))
    assert not torch.equal(first["rays_d"], other["rays_d"])


def test_three_quarters_of_the_rays_show_the_object(trees, settings):
    data = settings("DTUDataset", trees / "dtu", scene="scan24", ref_view=23, num_src_view=2, light_idx=3, n_rays=400)
    item = DTUDataset(data, training=True)[0]
    assert item["mask"][:300].eq(1).all()
    assert item["mask"][300:].eq(0).any()


def test_rays_meet_the_points_behind_their_pixels(trees, settings):
    """Origin + depth * direction / cz is where the camera sees that depth: two routes to one point."""
    data = settings("DTUDataset", trees / "dtu", scene="scan24", ref_view=23, num_src_view=2, light_idx=3)
    item = DTUDataset(data, training=False)[0]
    known = item["depth"] > 0
    forward = item["c2ws"][0, :3, 2]
    points = item["rays_o"] + item["rays_d"] * (item["depth"] / (item["rays_d"] @ forward))[:, None]
    to_pixel = item["intrs"][0] @ torch.linalg.inv(item["c2ws"][0])
    projected = points @ to_pixel[:3, :3].T + to_pixel[:3, 3]
    torch.testing.assert_close(projected[known, 2], item["depth"][known], rtol=1e-5, atol=1e-5)
    assert points[known].abs().max() < 1


def test_views_without_pictures_are_left_out_unless_they_are_named(trees, settings):
    data = settings("DTUDataset", trees / "dtu", scene="scan24", num_src_view=2, light_idx=3)
    numbers = [reference for _, reference, _, _ in DTUDataset(data, training=False).items]
    assert 23 in numbers
    assert len(numbers) == 7
    data = settings("DTUDataset", trees / "dtu", scene="scan24", ref_view=0, num_src_view=2, light_idx=3)
    with pytest.raises(ValueError, match="view 0 of scan24 has no picture"):
        DTUDataset(data, training=False)


def test_without_masks_and_depths_whole_pictures_count(trees, settings, tmp_path):
    for name in ("Cameras", "Rectified_raw"):
        (tmp_path / name).symlink_to(trees / "dtu" / name)
    data = settings("DTUDataset", tmp_path, scene="scan24", ref_view=23, num_src_view=2, light_idx=3)
    item = DTUDataset(data, training=False)[0]
    assert item["masks"].eq(1).all()
    assert item["depth_ref"].eq(0).all()
    item = DTUDataset(data, training=True)[0]
    assert "pseudo_pts" not in item
    assert item["pseudo_depth"].eq(0).all()


def test_both_names_of_the_pseudo_depth_folder_are_known(trees, settings, tmp_path):
    for name in ("Cameras", "Rectified_raw", "Depths_raw"):
        (tmp_path / name).symlink_to(trees / "dtu" / name)
    (tmp_path / "Pseudo_depths").symlink_to(trees / "dtu" / "pseudo_depths")
    data = settings("DTUDataset", tmp_path, scene="scan24", ref_view=23, num_src_view=2, light_idx=3)
    assert len(DTUDataset(data, training=True)[0]["pseudo_pts"]) == 2048


@pytest.fixture
def broken_tree(trees, tmp_path):
    """`broken_tree(path, content)`: the DTU tree with one file replaced (None: removed)."""
    import shutil

    def build(path, content):
        for name in ("Cameras", "Depths_raw", "pseudo_depths"):
            shutil.copytree(trees / "dtu" / name, tmp_path / name)
        (tmp_path / "Rectified_raw").symlink_to(trees / "dtu" / "Rectified_raw")
        (tmp_path / path).unlink()
        if content is not None:
            (tmp_path / path).write_bytes(content)
        return tmp_path

    return build


def test_without_pairs_the_nearest_cameras_of_dtu_serve(broken_tree, settings):
    folder = broken_tree("Cameras/pair.txt", None)
    data = settings("DTUDataset", folder, scene="scan24", ref_view=23, num_src_view=2, light_idx=3)
    assert DTUDataset(data, training=False)[0]["view_ids"].tolist() == [23, 16, 30]
    data = settings("DTUDatasetFinetune", folder, scene="scan24", ref_view=23)
    with pytest.raises(FileNotFoundError, match=r"no pair file .*pair\.txt, which lists the sources"):
        DTUDatasetFinetune(data)


def test_an_unreadable_pseudo_depth_is_one_sentence(broken_tree, settings):
    folder = broken_tree("pseudo_depths/scan24/23_epoch0.npy", b"not an array")
    data = settings("DTUDataset", folder, scene="scan24", ref_view=23, num_src_view=2, light_idx=3)
    with pytest.raises(ValueError, match=r"23_epoch0\.npy is not a readable NumPy array"):
        DTUDataset(data, training=True)[0]


def test_an_empty_mask_is_one_sentence(broken_tree, settings):
    import cv2

    black = cv2.imencode(".png", np.zeros((1200, 1600), np.uint8))[1].tobytes()
    folder = broken_tree("Depths_raw/scan24/depth_visual_0023.png", black)
    data = settings("DTUDataset", folder, scene="scan24", ref_view=23, num_src_view=2, light_idx=3)
    with pytest.raises(ValueError, match=r"mask of view rect_024_3_r5000 of scan24 is empty .*depth_visual_0023"):
        DTUDataset(data, training=False)[0]


def test_a_cube_that_misses_the_object_is_one_sentence(trees, settings):
    data = settings("DTUDatasetFinetune", trees / "dtu", scene="scan24", ref_view=23, factor=0.001)
    with pytest.raises(ValueError, match="the box misses the object"):
        DTUDatasetFinetune(data)


def test_a_cube_before_or_behind_the_surface_is_one_sentence(trees, settings):
    """Rays through the mask meet it, but what they show lies elsewhere."""
    values = {"scene": "scan24", "ref_view": 23, "num_src_view": 2, "light_idx": 3}
    item = DTUDataset(settings("DTUDataset", trees / "dtu", **values), training=False)[0]
    geometry = ItemGeometry(
        item["intrs"].numpy(), item["c2ws"].numpy(), np.zeros((3, 2), np.float32), item["scale_mat"].numpy(), 1.0
    )
    depth = item["depth_ref"].numpy()
    check_cube_meets_depth(geometry, depth, "23")
    check_cube_meets_depth(geometry, 0 * depth, "23")  # nothing is known
    with pytest.raises(ValueError, match=r"the box misses the object: none of the \d+ points .* of view 23 shows"):
        check_cube_meets_depth(geometry, np.where(depth > 0, depth + np.float32(3.0), 0), "23")
