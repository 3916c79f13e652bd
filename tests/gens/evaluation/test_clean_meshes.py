import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from common.io.meshes import read_mesh, write_mesh
from common.io.mvsnet_camera import MvsnetCamera, write_mvsnet_camera
from common.renderer import SurfaceMesh
from gens.evaluation.clean_meshes import main

VIEWS = (23, 24, 33)
INTRINSICS = np.array([[2892.33, 0, 823.205], [0, 2883.175, 619.071], [0, 0, 1.0]])


@pytest.fixture(scope="module")
def dtu_test(tmp_path_factory, golden_module):
    """Cameras and masks of the reference's scan 24."""
    folder = tmp_path_factory.mktemp("DTU_TEST")
    y, x = np.mgrid[:1200, :1600]
    for number, view in enumerate(VIEWS):
        pose = golden_module("gens/make_trees.py").pose(0, view, 640.0, (10.0, -5.0, 620.0))
        write_mvsnet_camera(folder / "cameras" / f"{view:08d}_cam.txt", MvsnetCamera(INTRINSICS, pose, (425.0, 2.5)))
        mask = ((x - 800 - 20 * number) / 520) ** 2 + ((y - 600) / 430) ** 2 < 1
        path = folder / "scan24" / "mask" / f"{view:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).save(path, compress_level=1)
    return folder


@pytest.fixture
def reference(golden):
    return golden("gens/mesh_cleaning")


@pytest.fixture
def meshes(tmp_path, reference):
    """A folder of meshes as `main.py --mode val` leaves it."""
    mesh = SurfaceMesh(torch.from_numpy(reference["dtu_vertices"]), torch.from_numpy(reference["dtu_faces"]).long())
    write_mesh(tmp_path / "meshes" / "scan24_epoch0.ply", mesh)
    return tmp_path / "meshes"


def triangles(vertices, faces):
    places = np.round(np.asarray(vertices, np.float64)[faces], 2) + 0.0
    return {tuple(sorted(map(tuple, triangle.tolist()))) for triangle in places}


def test_both_stages_are_the_references(dtu_test, meshes, reference):
    main(["--root_dir", str(dtu_test), "--out_dir", str(meshes), "--scans", "24"])
    between = trimesh.load_mesh(meshes / "final" / "clean_024.ply", process=False)
    num_vertices, num_faces = reference["dtu_after_mask_counts"]
    assert abs(len(between.vertices) - num_vertices) <= 0.02 * num_vertices
    assert abs(len(between.faces) - num_faces) <= 0.02 * num_faces

    vertices, faces = read_mesh(meshes / "final" / "scan24.ply")
    num_vertices, num_faces = reference["dtu_final_counts"]
    assert abs(len(vertices) - num_vertices) <= 0.02 * num_vertices
    assert abs(len(faces) - num_faces) <= 0.02 * num_faces
    ours = triangles(vertices, faces)
    expected = triangles(reference["dtu_final_vertices"], reference["dtu_final_faces"])
    assert len(ours & expected) / len(ours | expected) >= 0.97


def test_a_pattern_finds_meshes_of_fine_tuning(dtu_test, meshes):
    (meshes / "scan24_epoch0.ply").rename(meshes / "scan24_step4999.ply")
    arguments = ["--root_dir", str(dtu_test), "--out_dir", str(meshes), "--scans", "24"]
    with pytest.raises(ValueError, match=r"no mesh .*\*scan24_epoch0\.ply; run main\.py --mode val first"):
        main(arguments)
    main([*arguments, "--pattern", "scan{scan}_step*.ply", "--n_view", "2"])
    assert (meshes / "final" / "scan24.ply").is_file()


def test_a_scan_that_fails_does_not_stop_the_others(dtu_test, meshes):
    (meshes / "scan37_epoch0.ply").write_bytes((meshes / "scan24_epoch0.ply").read_bytes())
    with pytest.raises(ValueError, match=r"1 of 2 scans were not cleaned: scan37: no mask .*SparseNeuS"):
        main(["--root_dir", str(dtu_test), "--out_dir", str(meshes), "--scans", "37", "24"])
    assert (meshes / "final" / "scan24.ply").is_file()


def test_missing_data_and_other_units_are_one_sentence(dtu_test, meshes, reference, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*cameras; give --root_dir"):
        main(["--root_dir", str(tmp_path / "nowhere"), "--out_dir", str(meshes)])
    with pytest.raises(ValueError, match="2 to 11 views, got --n_view 1"):
        main(["--root_dir", str(dtu_test), "--out_dir", str(meshes), "--n_view", "1"])
    metres = torch.from_numpy(reference["dtu_vertices"] / 1000 - 5)
    write_mesh(meshes / "scan24_epoch0.ply", SurfaceMesh(metres, torch.from_numpy(reference["dtu_faces"]).long()))
    with pytest.raises(ValueError, match=r"no triangle lies inside the masks of two views; .*millimetres"):
        main(["--root_dir", str(dtu_test), "--out_dir", str(meshes), "--scans", "24"])
