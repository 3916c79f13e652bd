import numpy as np
import pytest
import torch

from common.checkpoints import save_checkpoint
from common.entry_point import run_command
from gefu.run import main


@pytest.fixture
def command(fern_tree, tmp_path, monkeypatch):
    """Arguments of an LLFF evaluation of the fern tree in small."""
    monkeypatch.setenv("POLYVIEW_VGG16", "/absent/vgg16.pth")
    monkeypatch.chdir(tmp_path)

    def build(kind, *overrides, size="[32,64]"):
        words = ["--type", kind, "--cfg_file", "configs/gefu/llff_eval.yaml", "gpus", "[-1]", "train.num_workers", "0"]
        words += [
            "test_dataset.data_root",
            str(fern_tree),
            "test_dataset.scene",
            "fern",
            "test_dataset.input_h_w",
            size,
        ]
        return [*words, *overrides]

    return build


@pytest.fixture
def checkpoint(fern_config, gained_network, tmp_path):
    network = gained_network(fern_config())
    path = tmp_path / "trained_model" / "gefu" / "dtu_pretrain" / "latest.pth"
    save_checkpoint(path, {"net": network.state_dict(), "epoch": 0})
    return path


def test_evaluate_scores_the_trained_weights(command, checkpoint, tmp_path, capsys):
    main(command("evaluate"))
    printed = capsys.readouterr().out
    assert "fern_level1 psnr" in printed
    assert "LPIPS was not computed" in printed
    assert len(list((tmp_path / "result" / "gefu" / "dtu_pretrain" / "default").glob("fern_*_0.png"))) == 4


def test_save_video_writes_videos_instead(command, checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("gefu.videos.NUM_FRAMES", 3)
    main(command("evaluate", "save_video", "True"))
    folder = tmp_path / "result" / "gefu" / "dtu_pretrain" / "default"
    assert len(list(folder.glob("fern_*_0.mp4"))) == 4
    assert not list(folder.glob("*.png"))
    assert "psnr" not in capsys.readouterr().out


def test_data_and_network_can_be_tried_alone(command, checkpoint, capsys):
    main(command("dataset"))
    assert capsys.readouterr().out.startswith("4 test items in")
    main(command("network"))
    assert "s per view on cpu" in capsys.readouterr().out


def test_a_missing_checkpoint_is_an_error_and_random_weights_are_asked_for(command, capsys):
    with pytest.raises(SystemExit) as ended:
        run_command(main, command("evaluate"))
    assert ended.value.code == 1
    assert (
        "error: no checkpoint latest.pth in ./trained_model/gefu/dtu_pretrain; train first" in capsys.readouterr().err
    )
    main(command("network", "resume", "False"))
    assert "random weights" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["", "train", "Evaluate"])
def test_another_type_is_refused(command, kind):
    with pytest.raises(ValueError, match=f"must be one of evaluate, dataset, network, got '{kind}'"):
        main(command(kind))


def test_the_checkpoint_of_another_network_is_refused(command, checkpoint, capsys):
    save_checkpoint(checkpoint, {"net": {"feature_net.conv0.0.conv.weight": torch.zeros(1)}})
    with pytest.raises(SystemExit):
        run_command(main, command("evaluate"))
    assert "lacks" in capsys.readouterr().err


def test_points_and_mesh_are_written_on_demand(command, checkpoint, tmp_path):
    main(command("evaluate", "save_ply", "True"))
    folder = tmp_path / "result" / "gefu" / "dtu_pretrain" / "default" / "pointclouds" / "llff" / "fern"
    assert (folder / "fern.ply").stat().st_size > 4 * 32 * 64 * 27
    assert len(list((folder / "depth").glob("*.pfm"))) == 4
    pytest.importorskip("open3d", reason="Open3D does not load here", exc_type=ImportError)
    import trimesh

    mesh = trimesh.load(folder / "fern_mesh.ply", process=False)
    assert len(mesh.vertices) == 4 * 32 * 64
    assert np.isfinite(mesh.vertices).all()
