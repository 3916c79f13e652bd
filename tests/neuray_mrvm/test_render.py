"""`render.py` and `eval.py` as programs, on the reference's trees and on trained-shaped checkpoints."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from common.io.images import read_pixels, write_image
from neuray_mrvm import eval as evaluation
from neuray_mrvm.databases.dtu import DtuTest
from neuray_mrvm.picture_files import read_rendered, read_truth
from neuray_mrvm.render import main, parse_arguments
from neuray_mrvm.render_job import open_job, render_test_views

ROOT = Path(__file__).parents[2]
SCENE = "dtu_test/snowman/black_80"
LINE = re.compile(r"psnr (\S+) ssim (\S+) lpips (\S+) view_idx (\d+)")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def checkpoint(weights, tmp_path_factory):
    """`checkpoint("gen_depth")` is a file with the reference's weights."""
    folder = tmp_path_factory.mktemp("checkpoints")

    def write(variant: str, state=None) -> Path:
        path = folder / f"{variant}.pth"
        if not path.is_file():
            content = {"step": 1234, "best_para": 0, "network_state_dict": state or weights(variant)}
            torch.save(content | {"optimizer_state_dict": {}}, path)
        return path

    return write


@pytest.fixture(scope="module")
def program(golden_module):
    """The reference's run: arguments, files, text of its metrics."""
    path = Path(__file__).parents[1] / "golden" / "neuray_mrvm" / "cli.json"
    return json.loads(path.read_text(encoding="utf8"))["gen_depth"]


@pytest.fixture(scope="module")
def rendered(program, neuray_tree, checkpoint, tmp_path_factory):
    """What our program leaves when it is started as the reference was."""
    output = tmp_path_factory.mktemp("output")
    names = {"TREE": str(neuray_tree), "SAVE": str(output), "SAVE/model.pth": str(checkpoint("gen_depth"))}
    main([names.get(word, word) for word in program["argv"][1:]] + ["--no_cuda"])
    return output


def test_the_pictures_are_the_reference_s(rendered, program, golden):
    assert not [name for name in program["files"] if not (rendered / name).is_file()]
    stored = golden("neuray_mrvm/cli")
    place = rendered / "render_test" / SCENE
    for key, expected in stored.items():
        _, folder, name = key.split("__")
        if name.endswith("-nr_fine.jpg"):
            picture, is_exact = read_rendered(place / folder, 0)
        elif name.endswith("-nr.jpg"):
            picture, is_exact = np.load(place / folder / "exact" / "0-nr.npy"), True
        elif folder == "gt":
            picture, is_exact = read_truth(place / folder, 0)
        else:
            picture, is_exact = read_pixels(place / folder / name), True
        assert is_exact
        if picture.dtype != np.uint8:
            picture = (picture.clip(0, 1) * 255 + (1e-3 if folder == "gt" else 0)).astype(np.uint8)
        assert picture.shape == expected.shape
        near = np.abs(picture.astype(int) - expected.astype(int)) <= 1
        assert near.mean() >= 0.99, key


def test_the_scores_are_the_reference_s(rendered, program):
    for name, text in program["metrics"].items():
        ours, theirs = LINE.match((rendered / name).read_text(encoding="utf8")), LINE.match(text)
        assert float(ours[1]) == pytest.approx(float(theirs[1]), abs=0.01)
        assert float(ours[2]) == pytest.approx(float(theirs[2]), abs=1e-3)
        assert ours[4] == theirs[4]


def test_eval_says_what_render_said(rendered, capsys):
    place = rendered / "render_test" / SCENE
    folder = place / "neuray_gen_depth_train-1234-eval"
    evaluation.main(["--dir_gt", str(place / "gt"), "--dir_pr", str(folder)])
    printed = capsys.readouterr().out.splitlines()
    assert printed[:-1] == (folder / "metrics_fine.txt").read_text(encoding="utf8").splitlines()
    assert printed[-1].startswith("protocol neuray_mrvm")


def test_eval_reads_folders_of_other_programs_and_says_that_jpeg_loses_detail(rendered, tmp_path, capsys, caplog):
    place = rendered / "render_test" / SCENE
    folder = place / "neuray_gen_depth_train-1234-eval"
    for kind, source in (("gt", place / "gt" / "0.jpg"), ("pr", folder / "0-nr_fine.jpg")):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / source.name).write_bytes(source.read_bytes())
    evaluation.main(["--dir_gt", str(tmp_path / "gt"), "--dir_pr", str(tmp_path / "pr")])
    psnr = float(LINE.match(capsys.readouterr().out)[1])
    stored = float(LINE.match((folder / "metrics_fine.txt").read_text(encoding="utf8"))[1])
    assert psnr == pytest.approx(stored, abs=0.5)  # not 48 dB lower
    with pytest.raises(FileNotFoundError, match="no rendered pictures"):
        evaluation.main(["--dir_gt", str(tmp_path / "gt"), "--dir_pr", str(tmp_path / "gt")])
    with pytest.raises(FileNotFoundError, match="right folder for --dir_gt"):
        evaluation.main(["--dir_gt", str(tmp_path), "--dir_pr", str(tmp_path / "pr")])
    write_image(tmp_path / "gt" / "0.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="the prediction is"):
        evaluation.main(["--dir_gt", str(tmp_path / "gt"), "--dir_pr", str(tmp_path / "pr")])


SMALL = """
name: small
network: {network}
init_net_type: {kind}
use_hierarchical_sampling: true
depth_sample_num: 8
fine_depth_sample_num: 4
database_name: {scene}
neighbor_view_num: 3
train_dataset_cfg: {{min_wn: 3, use_src_imgs: {sources}, ref_pad_interval: 16}}
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """`small("neuray_gen", "depth")` is a config with few samples."""
    folder = tmp_path_factory.mktemp("configs")

    def write(network: str, kind: str = "depth", scene: str = "dtu_test/snowman/black_32") -> str:
        path = folder / f"{network}_{kind}_{scene.replace('/', '_')}.yaml"
        sources = str(kind == "cost_volume" and network == "neuray_gen").lower()
        text = SMALL.format(network=network, kind=kind, scene=scene, sources=sources)
        if network == "neuray_ft":
            text = text.split("train_dataset_cfg")[0].replace("init_net_type: depth\n", "")
        path.write_text(text, encoding="utf8")
        return str(path)

    return write


def flags(tree, output, cfg, path, *more) -> list[str]:
    words = ["--base_data_dir", tree, "--save_dir", output, "--cfg", cfg, "--load_ckpt_path", path, "--no_cuda", *more]
    return [str(word) for word in words]


def test_maps_are_computed_once_per_set_of_views_and_chunks_do_not_matter(neuray_tree, checkpoint, small, tmp_path):
    words = flags(neuray_tree, tmp_path, small("neuray_gen"), checkpoint("gen_depth"))
    words += ["--database_name", "nerf_synthetic/lego/black_320"]
    job = open_job(parse_arguments([*words, "--ray_num", "300"]), torch.device("cpu"))
    assert len(job.query_ids) == 4
    job.references._ids = job.references._ids[:3]  # three views are the nearest of every camera
    render_test_views(job)
    assert job.references.num_prepared == 1
    first = read_rendered(job.folder, 1)[0].copy()
    job = open_job(parse_arguments([*words, "--ray_num", "4096", "--rb", "1", "--re", "2"]), torch.device("cpu"))
    job.references._ids = job.references._ids[:3]
    render_test_views(job, 1, 2)
    np.testing.assert_allclose(read_rendered(job.folder, 1)[0], first, atol=2e-5)


def test_a_cost_volume_needs_no_depth_maps(neuray_tree, checkpoint, small, tmp_path, monkeypatch):
    monkeypatch.setattr(DtuTest, "depth", lambda *_: pytest.fail("a depth map was read"))
    words = flags(neuray_tree, tmp_path, small("neuray_gen", "cost_volume"), checkpoint("gen_cost_volume"))
    main([*words, "--database_name", "dtu_test/snowman/black_32"])
    assert (tmp_path / "render_test/dtu_test/snowman/black_32/small-1234-eval/metrics_fine.txt").is_file()


def test_a_scene_s_own_network_renders_test_views_and_films(neuray_tree, checkpoint, weights, array, small, tmp_path):
    state = {name: value for name, value in weights("gen_depth").items() if not name.startswith("init_net.")}
    state |= {f"ray_feats.{i}": array(f"ray_feats.{i}", (1, 32, 8, 8)) for i in range(13)}
    path = checkpoint("ft", state)
    words = [*flags(neuray_tree, tmp_path, small("neuray_ft"), path), "--render_type", "ft"]
    main(words)
    place = tmp_path / "render_test" / "dtu_test/snowman/black_32"
    assert (place / "small-1234-eval" / "0-nr_fine.jpg").is_file()
    main([*words, "--pose_type", "circle", "--re", "2"])
    film = place / "small-1234-circle"
    assert sorted(p.name for p in film.glob("*.*")) == [
        "0-nr.jpg",
        "0-nr_fine.jpg",
        "1-nr.jpg",
        "1-nr_fine.jpg",
        "video.mp4",
    ]
    with pytest.raises(ValueError, match="is no part of the 60 views"):
        main([*words, "--pose_type", "circle", "--rb", "70"])
    other = small("neuray_ft", scene="nerf_synthetic/lego/black_320")
    with pytest.raises(RuntimeError, match="another scene or size"):
        main([*flags(neuray_tree, tmp_path, other, path), "--render_type", "ft"])
    with pytest.raises(RuntimeError, match="is for any scene; render it with --render_type gen"):
        main([*flags(neuray_tree, tmp_path, small("neuray_ft"), checkpoint("gen_depth")), "--render_type", "ft"])


def test_wrong_input_is_one_sentence(neuray_tree, checkpoint, small, tmp_path):
    good = flags(neuray_tree, tmp_path, small("neuray_gen"), checkpoint("gen_depth"))
    with pytest.raises(ValueError, match="did you mean 'dtu_test/snowman/black_800'"):
        main([*good, "--database_name", "dtu_tst/snowman/black_800"])
    with pytest.raises(FileNotFoundError, match="did you mean 'dtu_test/snowman/black_80'"):
        main([*good, "--database_name", "dtu_test/snowmen/black_80"])
    with pytest.raises(ValueError, match="--render_type ft needs a config with network neuray_ft"):
        main([*good, "--render_type", "ft"])
    with pytest.raises(ValueError, match="has no test views"):
        main([*good, "--database_name", "gso/obj0/black_raw"])
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        main(flags(neuray_tree, tmp_path, small("neuray_gen"), "missing.pth"))


def test_a_scene_without_depth_maps_is_told_how_to_make_them(neuray_tree, checkpoint, small, tmp_path, monkeypatch):
    tree = tmp_path / "tree"
    shutil.copytree(neuray_tree / "dtu_test", tree / "dtu_test", ignore=shutil.ignore_patterns("colmap_depth"))
    words = flags(tree, tmp_path, small("neuray_gen"), checkpoint("gen_depth"))
    with pytest.raises(FileNotFoundError, match=r"tools/make_depth_cache.py --database_name dtu_test"):
        main([*words, "--database_name", "dtu_test/snowman/black_32"])


@pytest.mark.parametrize(
    ("folder", "words"), [(".", "neuray_mrvm/eval.py --dir_pr"), ("neuray_mrvm", "render.py --cfg")]
)
def test_programs_start_in_both_folders_and_fail_with_one_sentence(folder, words):
    done = subprocess.run(
        [sys.executable, *words.split(), "missing"],
        cwd=ROOT / folder,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 1
    assert re.fullmatch(r"error: no .*missing.*\n", done.stderr)
