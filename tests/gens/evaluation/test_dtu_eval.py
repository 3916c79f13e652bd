import numpy as np
import pytest
import torch
import trimesh
from scipy.io import savemat

from common.io.meshes import write_mesh
from common.renderer import SurfaceMesh
from gens.evaluation.dtu_eval import main


@pytest.fixture
def reference(golden):
    return golden("gens/dtu_eval")


@pytest.fixture
def folders(tmp_path, reference):
    """Ground truth and a cut mesh, as the commands expect them."""
    truth, outputs = tmp_path / "GT", tmp_path / "outputs"
    for scan in (24, 37):
        (truth / "ObsMask").mkdir(parents=True, exist_ok=True)
        (truth / "Points" / "stl").mkdir(parents=True, exist_ok=True)
        content = {"ObsMask": reference["obs_mask"], "BB": reference["bb"], "Res": reference["res"]}
        savemat(truth / "ObsMask" / f"ObsMask{scan}_10.mat", content)
        savemat(truth / "ObsMask" / f"Plane{scan}.mat", {"P": reference["plane"]})
        trimesh.PointCloud(reference["stl"]).export(truth / "Points" / "stl" / f"stl{scan:03d}_total.ply")
    mesh = trimesh.Trimesh(reference["vertices"], reference["faces"], process=False)
    (outputs / "meshes" / "final").mkdir(parents=True)
    mesh.export(outputs / "meshes" / "final" / "scan24.ply")
    mesh.export(outputs / "meshes" / "final" / "scan37.ply")
    return truth, outputs


def run(folders, capsys, *more):
    truth, outputs = folders
    main(["--dataset_dir", str(truth), "--out_dir", str(outputs), *more])
    return capsys.readouterr().out.splitlines()


def test_the_command_prints_scans_and_means(folders, capsys, reference):
    lines = run(folders, capsys, "--scans", "24", "37")
    expected = [float(reference[name]) for name in ("mean_d2s", "mean_s2d", "overall")]
    assert [line.split()[0] for line in lines[:2]] == ["24", "37"]
    np.testing.assert_allclose([float(word) for word in lines[0].split()[1:]], expected, atol=1e-6)
    assert lines[2] == "final result"
    np.testing.assert_allclose([float(word) for word in lines[3].split()], expected, atol=1e-6)
    assert "thinned to 0.2, 60 around the observed box, distances from 20 on left out" in lines[4]


def test_seed_and_thresholds_are_heard(folders, capsys):
    first = run(folders, capsys, "--scans", "24")
    assert first == run(folders, capsys, "--scans", "24", "--scan", "7", "--visualize_threshold", "3")
    assert first != run(folders, capsys, "--scans", "24", "--seed", "1")
    assert float(run(folders, capsys, "--scans", "24", "--max_dist", "0.5")[0].split()[1]) < 0.5


def test_a_point_cloud_is_scored_as_it_is(folders, capsys, reference):
    path = folders[1] / "pcd" / "scan24.ply"
    path.parent.mkdir()
    trimesh.PointCloud(reference["stl"]).export(path)
    accuracy = float(run(folders, capsys, "--mode", "pcd", "--scans", "24")[0].split()[1])
    assert accuracy == pytest.approx(0, abs=1e-6)


def test_missing_ground_truth_says_where_to_get_it_after_the_other_scans(folders, capsys):
    (folders[0] / "ObsMask" / "Plane37.mat").unlink()
    with pytest.raises(
        ValueError, match=r"1 of 2 scans were not scored: scan37: no ground truth .*Plane37\.mat; Sample"
    ):
        run(folders, capsys, "--scans", "37", "24")
    assert "final result (of 1 of 2 scans)" in capsys.readouterr().out


def test_a_mesh_that_was_not_cut_or_has_other_units_is_one_sentence(folders, capsys, reference):
    path = folders[1] / "meshes" / "final" / "scan24.ply"
    path.unlink()
    with pytest.raises(
        ValueError, match=r"no reconstruction .*scan24\.ply; run gens/evaluation/clean_meshes\.py first"
    ):
        run(folders, capsys, "--scans", "24")
    metres = torch.from_numpy(reference["vertices"] / 1000 - 900)
    write_mesh(path, SurfaceMesh(metres, torch.from_numpy(reference["faces"]).long()))
    with pytest.raises(ValueError, match=r"lies where the scan was observed.*millimetres"):
        run(folders, capsys, "--scans", "24")


def test_a_broken_ground_truth_file_is_named(folders, capsys):
    (folders[0] / "ObsMask" / "ObsMask24_10.mat").write_bytes(b"not a matrix")
    with pytest.raises(ValueError, match=r"cannot read .*ObsMask24_10\.mat"):
        run(folders, capsys, "--scans", "24")
    savemat(folders[0] / "ObsMask" / "ObsMask24_10.mat", {"ObsMask": np.ones((3, 3, 3)), "BB": np.ones((3, 2))})
    with pytest.raises(ValueError, match=r"should hold BB of shape \(2, 3\), got float64 of shape \(3, 2\)"):
        run(folders, capsys, "--scans", "24")
