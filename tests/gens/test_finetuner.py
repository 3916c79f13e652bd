"""Fine-tuning on one scene: what it leaves, that it continues exactly, and that its files load again."""

import pytest
import torch

from common.checkpoints import load_checkpoint
from gens.main import main
from gens.model_checkpoints import load_finetuned
from gens.networks.network import build_network
from tests.nested import assert_equal

FLAGS = ["--conf", "confs/gens_finetune.conf", "--mode", "finetune", "--no_cuda", "--mesh_resolution", "24"]
DIMS = {"volume": {"volume_dims": [64, 32, 16, 8, 4]}}


@pytest.fixture(scope="module")
def finetuned(tiny_dtu, tiny_finetuning, sphere_checkpoint, tmp_path_factory, one_thread):
    """The folder of three steps."""
    base = tmp_path_factory.mktemp("finetuned")
    main([*FLAGS, "--resume", str(sphere_checkpoint), *tiny_finetuning(tiny_dtu, base)])
    return base / "scan1" / "view0"


def test_a_run_leaves_the_releases_files(finetuned, manifest):
    names = {path.name for path in (finetuned / "checkpoints").iterdir()}
    assert names == {"model_001.ckpt", "model_002.ckpt", "latest.ckpt"}
    assert (finetuned / "meshes" / "scan1_step2.ply").is_file()
    for folder in ("val_img", "val_normal", "val_sdf_depth", "val_render_depth"):
        assert (finetuned / folder / "0_step2.png").is_file()
    content = load_checkpoint(finetuned / "checkpoints" / "model_002.ckpt")
    assert content["epoch"] == 2
    model = content["model"]
    assert set(model) == {"volumes", "mask_volmes", "features", "implicit_surface"}
    for name in ("volumes", "mask_volmes", "features"):
        assert isinstance(model[name], torch.nn.ParameterList)
    assert [tuple(volume.shape) for volume in model["volumes"]] == [(1, 4, d, d, d) for d in (64, 32, 16, 8, 4)]
    assert [tuple(mask.shape) for mask in model["mask_volmes"]] == [(1, 1, d, d, d) for d in (64, 32, 16, 8, 4)]
    assert [tuple(maps.shape) for maps in model["features"]] == [(3, 4, 64 >> i, 64 >> i) for i in range(5)]
    assert len(model["implicit_surface"]) == 45
    assert [len(group["params"]) for group in content["optimizer"]["param_groups"]] == [45, 1, 1, 1, 1, 1]


def test_only_volumes_and_surface_are_trained(finetuned):
    first, last = (load_checkpoint(finetuned / "checkpoints" / f"model_00{step}.ckpt")["model"] for step in (1, 2))
    for before, after in zip(first["volumes"], last["volumes"], strict=True):
        assert not torch.equal(before, after)
    for name in ("mask_volmes", "features"):
        assert all(torch.equal(*pair) for pair in zip(first[name], last[name], strict=True))


def test_a_stopped_run_continues_exactly(finetuned, tiny_dtu, tiny_finetuning, sphere_checkpoint, tmp_path, one_thread):
    words = tiny_finetuning(tiny_dtu, tmp_path)
    start = [*FLAGS, "--resume", str(sphere_checkpoint)]
    stop_after_two = [*words, "train.save_iter", "1"]
    with pytest.MonkeyPatch.context() as patch:
        import gens.finetuner as finetuner

        steps = iter(range(2))
        step = finetuner.train_step

        def limited(*arguments, **options):
            if next(steps, None) is None:
                raise KeyboardInterrupt
            return step(*arguments, **options)

        patch.setattr(finetuner, "train_step", limited)
        with pytest.raises(KeyboardInterrupt):
            main([*start, *stop_after_two])
    main([*start, *words])
    roots = (finetuned, tmp_path / "scan1" / "view0")
    first, second = (load_checkpoint(root / "checkpoints" / "model_002.ckpt") for root in roots)
    for name in ("volumes", "mask_volmes", "features"):
        assert_equal(list(first["model"][name]), list(second["model"][name]), name)
    for part in ("epoch", "optimizer", "lr_scheduler", "polyview"):
        assert_equal(first[part], second[part], part)
    main([*start, *words])  # finished: nothing to do


def test_another_start_does_not_mix_with_an_old_run(finetuned, tiny_dtu, tiny_finetuning, tmp_path, weights):
    other = tmp_path / "other.ckpt"
    torch.save({"epoch": 0, "model": weights(sphere=False)}, other)
    with pytest.raises(RuntimeError, match=r"began with other weights .* 'general\.restart True'"):
        main([*FLAGS, "--resume", str(other), *tiny_finetuning(tiny_dtu, finetuned.parents[1])])


def test_fine_tuning_goes_on_from_fine_tuned_volumes(finetuned, tiny_dtu, tiny_finetuning, tmp_path, one_thread):
    """Quirk 3 of the release: it replaced the loaded volumes."""
    path = finetuned / "checkpoints" / "model_002.ckpt"
    words = [*tiny_finetuning(tiny_dtu, tmp_path), "train.epochs", "1", "--clean_mesh"]
    flags = [*FLAGS, "--resume", str(path), "--load_vol", "--clean_mesh"]
    main([*flags, *words[:-1], "train.lr_confs.vol_lr", "[0,0,0,0,0]", "train.lr_confs.mlp_lr", "0"])
    after = load_checkpoint(tmp_path / "scan1" / "view0" / "checkpoints" / "model_000.ckpt")["model"]
    before = load_checkpoint(path)["model"]
    assert all(torch.equal(*pair) for pair in zip(before["volumes"], after["volumes"], strict=True))


def test_validation_reads_fine_tuned_volumes(finetuned, tiny_dtu, tiny_finetuning, tmp_path, one_thread):
    """Quirk 4: without val_dataset the scene of the fine-tuning is validated."""
    path = finetuned / "checkpoints" / "model_002.ckpt"
    flags = ["--conf", "confs/gens_finetune.conf", "--mode", "val", "--no_cuda", "--mesh_resolution", "24"]
    words = [*tiny_finetuning(tiny_dtu, tmp_path), "train.seed", "0"]
    main([*flags, "--resume", str(path), "--load_vol", *words])
    mesh = (tmp_path / "meshes" / "scan1_epoch0.ply").read_bytes()
    assert mesh == (finetuned / "meshes" / "scan1_step2.ply").read_bytes()


def test_released_files_load_with_numpy_numbers_and_pickled_lists(finetuned, tmp_path):
    import numpy as np

    content = load_checkpoint(finetuned / "checkpoints" / "model_002.ckpt")
    content.pop("polyview")
    for group in content["optimizer"]["param_groups"]:
        group["lr"] = np.float64(group["lr"])
    content["lr_scheduler"] = {"base_lrs": [np.float64(5e-4)] * 6, "last_epoch": 2, "lr_lambdas": [None] * 6}
    torch.save(content, tmp_path / "model_2499.ckpt")
    network = build_network(DIMS)
    load_finetuned(network, tmp_path / "model_2499.ckpt")
    assert network.has_vol
    assert all(torch.equal(*pair) for pair in zip(network.volumes, content["model"]["volumes"], strict=True))
