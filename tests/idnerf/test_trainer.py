"""Training runs: what they leave, that they continue exactly, that processes agree, that the prior takes part."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from common.checkpoints import load_checkpoint
from idnerf.options import load_options
from idnerf.train import main
from idnerf.trainer import train
from tests.nested import assert_equal
from tests.processes import free_port

pytestmark = pytest.mark.usefixtures("one_thread")
ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
SIZE = (64, 32)
SMALL = {
    "cpu": True,
    "tb": False,
    "seed": 3,
    "name": "run",
    "max_epoch": 2,
    "guidance": "none",
    "encoder.pretrain_weight": "",
    "encoder.num_transformer_layers": 1,
    "nerf.sample_intvs": 4,
    "nerf.rand_rays_train": 8,
    "n_src_views": 2,
    "data_train.img_wh": "64,32",
    "data_train.view_lists": "folder",
    "data_train.lights": 3,
    "data_train.n_add_train_views": 1,
    "freq.scalar": 1,
    "freq.ckpt_it": 0.5,
}
ONE_STEP = {"max_epoch": 1, "data_train.max_len": 1}


class Measurements:
    """An evaluation that notes when it is asked, and disturbs what it must not disturb."""

    def __init__(self):
        self.asked = []

    def validate(self, network, iteration, limit=None):
        assert not network.training
        torch.rand(1)
        self.asked.append(("val", iteration, limit))
        return {"PSNR": 1.0}

    def test(self, network, epoch, iteration, limit=None):
        self.asked.append(("test", epoch, iteration, limit))
        return {"dtu": {"PSNR": 2.0}}


@pytest.fixture(scope="module")
def dtu(tmp_path_factory, golden_module):
    """One scan of four views in DTU's layout."""
    inputs = golden_module("idnerf/inputs.py")
    folder = tmp_path_factory.mktemp("DTU")
    for name in ("Cameras/train", "Rectified/scan1_train"):
        (folder / name).mkdir(parents=True)
    for view in range(4):
        (folder / f"Cameras/train/{view:08d}_cam.txt").write_text(inputs.dtu_camera_file(view, *SIZE))
        pixels = inputs.picture(view, SIZE[1], SIZE[0], 0)
        Image.fromarray(pixels).save(folder / f"Rectified/scan1_train/rect_{view + 1:03d}_3_r5000.png")
    return folder


@pytest.fixture(scope="module")
def words(dtu):
    """`words(output, key=value)`: a command line for a small run."""

    def build(output, **changes):
        values = SMALL | {"output_root": output, "data_train.root_dir": dtu} | changes
        return ["--yaml=train", *(f"--{key}={value}" for key, value in values.items())]

    return build


@pytest.fixture(scope="module")
def run(words):
    """`run(output, key=value)` trains and returns the run's folder."""

    def start(output, evaluation=None, **changes):
        opt = load_options(words(output, **changes))
        train(opt, CPU, evaluation)
        return Path(opt.output_path)

    return start


@pytest.fixture(scope="module")
def finished(run, tmp_path_factory):
    """The folder of a run of two epochs."""
    return run(tmp_path_factory.mktemp("finished"), tb=True)


def latest(folder):
    return load_checkpoint(folder / "models" / "latest.pth")


def test_a_run_leaves_checkpoints_scalars_options_and_its_command(finished):
    folder = finished
    assert folder.name == "run_seed3"
    names = sorted(path.name for path in (folder / "models").iterdir())
    assert names == ["ep1_it4.pth", "ep2_it8.pth", "latest.previous.pth", "latest.pth"]
    content = latest(folder)
    assert (content["epoch"], content["iter"]) == (2, 8)
    assert [group["name"] for group in content["optim"]["param_groups"]] == ["feat_enc", "nerf_dec", "latent_inference"]
    assert (folder / "options.yaml").is_file() and (folder / "run.bash").is_file()
    assert read_tags(folder) == {"train/loss_render", "lrate/enc", "lrate/dec", "lrate/latent"}


def read_tags(folder):
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    (path,) = folder.glob("events.out.tfevents*")
    return {value.tag for event in EventFileLoader(str(path)).Load() for value in event.summary.value}


def test_a_run_that_stopped_anywhere_ends_with_the_same_bits(finished, run, tmp_path):
    class Stop(Exception):
        pass

    class Stopping(Measurements):
        def validate(self, network, iteration, limit=None):
            if iteration == 3:
                raise Stop
            return {}

    changes = {"freq.val_it": 0.25, "freq.ckpt_it": 0.25}
    with pytest.raises(Stop):
        run(tmp_path / "stopped", Stopping(), **changes)
    assert latest(tmp_path / "stopped" / "run_seed3")["iter"] == 3
    resumed = run(tmp_path / "stopped", resume=True)
    assert_equal(latest(resumed), latest(finished))


def test_measuring_happens_when_the_options_say_and_changes_nothing(finished, run, tmp_path):
    measured = Measurements()
    changes = {
        "freq.val_it": 0.5,
        "freq.val_ep": 2,
        "freq.test_it": 0.75,
        "freq.test_ep_start": 1,
        "sanity_check": True,
    }
    assert_equal(latest(run(tmp_path / "measured", measured, **changes))["model"], latest(finished)["model"])
    assert measured.asked == [
        ("val", 0, 1),
        ("test", 0, 0, 1),
        ("val", 2, None),
        ("test", 0, 3, None),
        ("val", 4, None),
        ("val", 6, None),
        ("test", 1, 6, None),
        ("val", 8, None),
        ("val", 8, None),
        ("test", 2, 8, None),
    ]


def test_without_resume_an_earlier_run_is_moved_aside(run, tmp_path, caplog):
    run(tmp_path, **ONE_STEP)
    run(tmp_path, **ONE_STEP)
    assert len(list(tmp_path.glob("run_seed3*"))) == 2
    assert "resume is false: the earlier run was moved to" in caplog.text


def test_weights_of_another_run_are_a_start_and_resume_without_a_run_too(finished, run, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    run(tmp_path / "loaded", **ONE_STEP, load=finished / "models" / "latest.pth")
    assert f"loaded feat_enc, latent_inference, nerf_dec from {finished}/models/latest.pth" in caplog.text
    run(tmp_path / "new", **ONE_STEP, resume=True)
    assert "there is no run in" in caplog.text
    run(tmp_path / "new", **ONE_STEP, resume=True)
    assert "has finished its 1 epochs; raise max_epoch to go on" in caplog.text


def test_missing_gmflow_weights_are_named_with_where_to_get_them(run, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"no file .*gmflow_sintel-0c07dcb3.pth; take .* --encoder.pretrain_weight="
    ):
        run(tmp_path, **{"encoder.pretrain_weight": "configs/pretrained_models/gmflow_sintel-0c07dcb3.pth"})


def test_a_loss_that_is_no_number_stops_the_run(run, tmp_path):
    with pytest.raises(RuntimeError, match=r"the loss became .* at iteration .* lower optim.lr_enc and optim.lr_dec"):
        run(tmp_path, **{"optim.lr_dec": 1e30, "optim.sched": ""})


def test_the_prior_takes_part_through_the_options(run, tmp_path, small_model, clip_folder):
    prior = {"guidance": "diffusion", "hf_key": small_model, "clip_key": clip_folder}
    guided, plain = (run(tmp_path / str(i), tb=True, **ONE_STEP, **(prior if i == 0 else {})) for i in range(2))
    assert "train/pull" in read_tags(guided) and "train/pull" not in read_tags(plain)
    first, second = (latest(folder)["model"] for folder in (guided, plain))
    assert not torch.equal(first["latent_inference.mix_1.0.weight"], second["latent_inference.mix_1.0.weight"])
    assert (tmp_path / "0" / "embeddings").is_dir()


@pytest.fixture
def measured_words(words, dtu):
    """`measured_words(output, key=value)`: with validation and tests on the same scan."""

    def build(output, **changes):
        settings = {"root_dir": dtu, "img_wh": "64,32", "view_lists": "folder"}
        values = {f"{name}.{key}": value for name in ("data_val", "data_test.dtu") for key, value in settings.items()}
        return words(
            output, **values | {"data_test.llff": "", "max_epoch": 1, "tb": True, "data_train.max_len": 2} | changes
        )

    return build


def test_the_command_trains_validates_and_tests(measured_words, tmp_path):
    main(measured_words(tmp_path, save_test_image=True))
    folder = tmp_path / "run_seed3"
    assert {"train/loss_render", "val/PSNR", "val/SSIM", "dtu/PSNR"} <= read_tags(folder)
    assert "scan1_000" in (folder / "test" / "0results_dtu.txt").read_text()
    assert len(list((folder / "validation").glob("scan1_view2_it*.jpg"))) == 2
    assert len(list((folder / "test" / "dtu").glob("ep1_it2_scan1_view00_*.jpg"))) == 1


def test_a_run_without_data_to_test_on_is_not_tested(measured_words, tmp_path):
    words = [word for word in measured_words(tmp_path, **ONE_STEP) if "data_test.dtu" not in word]
    main([*words, "--data_test.dtu="])
    assert (tmp_path / "run_seed3" / "models" / "ep1_it1.pth").is_file()


def test_missing_test_data_is_said_before_training_begins(measured_words, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"data_test.dtu.root_dir: .*/nowhere.* --data_test.dtu.root_dir"):
        main(measured_words(tmp_path, **{"data_test.dtu.root_dir": "/nowhere"}))
    assert not (tmp_path / "run_seed3").exists()


@pytest.mark.slow
def test_torchrun_trains_with_two_processes_and_one_writes(measured_words, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={free_port()}"]
    done = subprocess.run(
        [*command, "idnerf/train.py", *measured_words(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    content = latest(tmp_path / "run_seed3")
    assert (content["epoch"], content["iter"]) == (1, 1)  # two items, two processes
    assert done.stderr.count("epoch: 0  step: 1") == 1
    assert "dtu/PSNR" in read_tags(tmp_path / "run_seed3")
