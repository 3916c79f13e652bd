import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.settings import to_config
from idnerf.data.dtu import DtuDataset
from idnerf.data.loaders import build_dataset, build_test_loaders, build_training_loader, build_validation_loader
from idnerf.data.view_lists import view_lists
from idnerf.options import load_options

GOLDEN = Path(__file__).parents[2] / "golden/idnerf"
FACTS = json.loads((GOLDEN / "dtu_dataset.json").read_text())


@pytest.fixture(scope="module")
def inputs(golden_module):
    return golden_module("idnerf/inputs.py")


@pytest.fixture(scope="module")
def stored(golden):
    return golden("idnerf/dtu_dataset")


@pytest.fixture(scope="module")
def root(inputs, stored, tmp_path_factory):
    """The files that the golden arrays were read from."""
    folder = tmp_path_factory.mktemp("DTU")
    for name in ("Cameras/train", "Rectified/scan1_train", "Depths/scan1"):
        (folder / name).mkdir(parents=True)
    width, height = stored["in_size"].tolist()
    for view in range(49):
        camera = inputs.dtu_camera_file(view, width, height)
        (folder / f"Cameras/train/{view:08d}_cam.txt").write_text(camera)
        pixels = inputs.picture(view, 50, 70, 0)
        Image.fromarray(pixels).save(folder / f"Rectified/scan1_train/rect_{view + 1:03d}_3_r5000.png")
    for view in (24, 32):
        inputs.write_pfm(folder / f"Depths/scan1/depth_map_{view:04d}.pfm", inputs.dtu_raw_depth())
    return folder


def settings(root, size, **changes):
    words = [f"--data_train.{key}={json.dumps(value)}" for key, value in changes.items()]
    opt = load_options(["--yaml=train", f"--data_train.root_dir={root}", f"--data_train.img_wh={size}", *words])
    return opt.data_train


@pytest.fixture(scope="module")
def size(stored):
    return stored["in_size"].tolist()


def metas(dataset, count):
    return [[item.scan, item.light, item.view, list(item.candidates)] for item in dataset.items[:count]]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_items_are_those_of_the_paper(root, size, split):
    lists = view_lists()["dtu_scans"]
    if split == "test":
        dataset = DtuDataset(root, settings(root, size), split, 3, lists["val"])
    else:
        dataset = DtuDataset(root, settings(root, size), split, 3, lists["train"])
    expected = FACTS[f"{split}_metas"]
    assert len(dataset) == FACTS["len_val_all" if split == "val" else f"len_{split}"]
    found = metas(dataset, len(dataset))
    if split == "train":  # the stored ones are the first light of three views
        found = [meta for meta in found if meta[1] == 0]
    assert found[: len(expected)] == expected


def test_max_len_keeps_the_first_items(root, size):
    dataset = DtuDataset(root, settings(root, size, max_len=5), "val", 3, view_lists()["dtu_scans"]["train"])
    assert len(dataset) == FACTS["len_val"]
    assert [item.scan for item in dataset.items] == ["scan3", "scan4", "scan5", "scan6", "scan9"]


def test_fixed_sources_keep_the_order_of_the_list(root, size):
    dataset = DtuDataset(root, settings(root, size, test_views_method="fixed"), "test", 3, ["scan1"])
    assert metas(dataset, 1) == FACTS["fixed_metas"]


def test_cameras_are_in_the_papers_units(root, size, stored):
    dataset = DtuDataset(root, settings(root, size), "test", 3, ["scan1"])
    cameras = [dataset.camera(view) for view in stored["in_view_ids"].tolist()]
    np.testing.assert_allclose(np.stack([c.intrinsics for c in cameras]), stored["out_intrinsics"], atol=1e-5)
    np.testing.assert_allclose(np.stack([c.extrinsics for c in cameras]), stored["out_extrinsics"], atol=1e-5)
    np.testing.assert_allclose(np.stack([c.near_far for c in cameras]), stored["out_near_far"], atol=1e-5)


def test_a_test_item_is_the_papers(root, size, stored):
    item = DtuDataset(root, settings(root, size), "test", 3, ["scan1"])[0]
    assert sorted(item) == sorted(FACTS["keys"])
    assert item["view_ids"].tolist() == FACTS["sample_view_ids"] and item["scene"] == FACTS["sample_scene"]
    assert [str(Path(path).relative_to(root)) for path in item["img_paths"]] == FACTS["image_files"]
    assert list(item["depth"].shape) == FACTS["depth_shape"] and item["img_wh"].tolist() == size
    np.testing.assert_allclose(item["images"][:, :, ::2, ::2], stored["out_sample_images"], atol=1e-5)
    np.testing.assert_allclose(item["depth"][::16, ::16], stored["out_sample_depth"], atol=1e-5)
    assert np.sum(item["depth"] == 0) == stored["out_sample_depth_zeros"]
    for name in ("extrinsics", "intrinsics", "near_fars"):
        np.testing.assert_allclose(item[name], stored[f"out_sample_{name}"], atol=1e-5)
        assert item[name].dtype == np.float32


def test_training_takes_the_first_of_a_permutation_in_rank_order(root, size):
    pick = FACTS["train_pick"]
    dataset = DtuDataset(root, settings(root, size), "train", 3, ["scan3"])
    target = dataset.items[pick["index"]]
    assert [target.scan, target.light, target.view, list(target.candidates)] == pick["meta"]
    assert [*dataset.training_sources(target, pick["randperm"]), target.view] == pick["view_ids"]


def test_sources_of_a_training_item_depend_on_its_key_alone(root, size):
    dataset = DtuDataset(root, settings(root, size, lights=[3]), "train", 3, ["scan1"])
    views = [dataset[(7, (1, seed))]["view_ids"].tolist() for seed in range(8)]
    assert dataset[(7, (1, 3))]["view_ids"].tolist() == views[3] and len(set(map(tuple, views))) > 1
    ranks = [[dataset.items[7].candidates.index(view) for view in chosen[:-1]] for chosen in views]
    assert all(sorted(rank) == rank and max(rank) < 5 for rank in ranks)
    assert "depth" not in dataset[7]


def test_lists_can_come_from_the_folder(root, size, tmp_path):
    dataset = DtuDataset(root, settings(root, size, view_lists="folder"), "test", 2, ["scan1"])
    assert [item.view for item in dataset.items] == list(range(0, 49, 8))
    centers = {view: np.linalg.inv(dataset.camera(view).extrinsics)[:3, 3] for view in range(49)}
    first = dataset.items[0]
    assert not {item.view for item in dataset.items} & set(first.candidates)
    distances = [np.abs(centers[view] - centers[first.view]).sum() for view in first.candidates]
    assert distances == sorted(distances)
    training = DtuDataset(root, settings(root, size, view_lists="folder", lights=[3]), "train", 2, ["scan1"])
    assert len(training) == 49 and all(len(item.candidates) == 48 for item in training.items)
    validation = DtuDataset(root, settings(root, size, view_lists="folder"), "val", 2, ["scan1"])
    assert [item.view for item in validation.items] == [24]


def test_cameras_follow_the_size_of_the_pictures_where_it_is_given(root, size):
    half = [size[0] // 2, size[1] // 2]
    dataset = DtuDataset(
        root, to_config({**settings(root, size), "img_wh": half, "camera_wh": size}), "test", 3, ["scan1"]
    )
    whole = DtuDataset(root, settings(root, size), "test", 3, ["scan1"])
    np.testing.assert_allclose(2 * dataset.camera(24).intrinsics[:2], whole.camera(24).intrinsics[:2], rtol=1e-6)


def test_cameras_for_pictures_of_another_size_are_noticed(root, size):
    with pytest.raises(ValueError, match=r"pictures of about 6. x 31 pixels, but img_wh is 640 x 512; set camera_wh"):
        DtuDataset(root, settings(root, [640, 512]), "test", 3, ["scan1"])


def options(root, size, *words):
    sections = ("data_train", "data_val", "data_test.dtu")
    places = [word for name in sections for word in (f"--{name}.root_dir={root}", f"--{name}.img_wh={size}")]
    given = {word.partition("=")[0] for word in words}
    scans = [f"--{name}.scan_list=scan1" for name in sections if f"--{name}.scan_list" not in given]
    return load_options(["--yaml=train", "--data_test.llff=", *places, *scans, *words])


@pytest.mark.parametrize("workers", [0, 2])
def test_loaders_give_batches_of_one_whatever_the_number_of_workers(root, size, workers):
    opt = options(root, size, "--data_train.lights=3", f"--data_train.num_workers={workers}")
    loader = build_training_loader(opt, seed=5)
    loader.sampler.start(1, 45)
    batches = list(loader)
    assert len(batches) == 4 and batches[0]["images"].shape == (1, 4, 3, size[1], size[0])
    expected = [dataset_item["view_ids"].tolist() for dataset_item in map(loader.dataset.__getitem__, loader.sampler)]
    assert [batch["view_ids"][0].tolist() for batch in batches] == expected
    assert batches[0]["scene"] == ["scan1"]


def test_validation_and_test_loaders_give_every_item_once(root, size):
    opt = options(root, size)
    assert [batch["view_ids"][0, -1].item() for batch in build_validation_loader(opt)] == [24]
    loaders = build_test_loaders(opt)
    assert list(loaders) == ["dtu"] and len(loaders["dtu"]) == 4


def test_missing_scans_are_told(root, size, tmp_path, caplog):
    opt = options(root, size, "--data_val.scan_list=scan1,scan2")
    assert len(build_dataset(opt, "data_val", "val")) == 1
    assert "1 of 2 scans are not in" in caplog.text
    with pytest.raises(FileNotFoundError, match=r"data_val: .* none of the 88 scans .* --data_val.scan_list=scan1$"):
        build_dataset(options(root, size, "--data_val.scan_list="), "data_val", "val")
    with pytest.raises(FileNotFoundError, match=r"data_val.root_dir: .*--data_val.root_dir"):
        build_dataset(load_options(["--yaml=train", "--data_val.root_dir=/no/such/place"]), "data_val", "val")
    with pytest.raises(ValueError, match="have no data_train"):
        build_dataset(load_options(["--yaml=test"]), "data_train", "train")


def test_scans_can_be_named_by_a_file(root, size, tmp_path):
    (tmp_path / "scans.txt").write_bytes(b"scan1\r\n")
    opt = options(root, size, f"--data_val.scan_list={tmp_path / 'scans.txt'}")
    assert [item.scan for item in build_dataset(opt, "data_val", "val").items] == ["scan1"]


def test_more_sources_than_neighbours_are_refused(root, size):
    with pytest.raises(ValueError, match="has 10 views to choose sources from, 14 are needed"):
        DtuDataset(root, settings(root, size), "train", 12, ["scan1"])
