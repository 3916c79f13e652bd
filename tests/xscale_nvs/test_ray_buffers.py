import numpy as np
import pytest
import torch
from torch.nn import functional

from common.cameras import Camera, camera_center
from common.ops.rasterize import MeshRasterizer
from common.ops.rasterize.clip_space import clip_matrix
from xscale_nvs.parameters import load_params
from xscale_nvs.ray_buffers import bands, coverage, see_rows, supersampled
from xscale_nvs.scene_files import open_scene


@pytest.mark.parametrize("ss_ratio", [1, 2])
def test_golden_cameras(golden, scene_settings, ss_ratio):
    stored = golden("xscale_nvs/cameras")
    mesh = {"v": np.eye(3), "f": np.array([[0, 1, 2]])}
    near, far = (float(value) for value in stored["near_far"])
    scene = open_scene(load_params(overrides=scene_settings({**stored, **mesh})))
    assert "\n".join(scene.names) == bytes(stored["names"]).decode().strip()
    for view in range(len(scene.names)):
        scene.camera_file(view).write_bytes(bytes(stored[f"cam_txt_{view}"]))
        fine = supersampled(scene.camera(view), ss_ratio)
        matrix = clip_matrix(fine.intrinsics, fine.world_to_cam, fine.height, fine.width, near, far)
        expected = stored[f"mvp_ss{ss_ratio}"][view]
        np.testing.assert_allclose(matrix.numpy(), expected, atol=1e-6 * np.abs(expected).max(), rtol=0)
        center = camera_center(fine.world_to_cam).numpy()
        np.testing.assert_allclose(center, stored[f"campos_ss{ss_ratio}"][view], atol=1e-6)


@pytest.mark.parametrize("ss_ratio", [2, 3, 4])
def test_coverage_is_the_resized_fine_coverage_wherever_the_bands_are_cut(ss_ratio):
    generator = torch.Generator().manual_seed(ss_ratio)
    for height, width in [(1, 1), (1, 7), (2, 3), (10, 31), (33, 16), (64, 65)]:
        fine = torch.rand(height * ss_ratio, width * ss_ratio, generator=generator) < 0.15
        resized = functional.interpolate(
            fine.float()[None, None], size=(height, width), mode="bilinear", align_corners=True
        )
        expected = resized[0, 0] > 0
        assert torch.equal(coverage(fine, range(height), height, ss_ratio), expected)
        cut = height // 2
        parts = [range(cut), range(cut, height)]
        found = [coverage(fine[part.start * ss_ratio : part.stop * ss_ratio], part, height, ss_ratio) for part in parts]
        assert torch.equal(torch.cat(found), expected)


def test_sub_samples_are_the_fine_pixels_row_by_row():
    corners = torch.tensor([[-9.0, -9, 3], [9, -9, 4], [0, 9, 5]])
    rasterizer = MeshRasterizer(corners, torch.tensor([[0, 1, 2]]))
    intrinsics = torch.tensor([[20.0, 0, 7.5], [0, 20, 5.5], [0, 0, 1]], dtype=torch.float64)
    camera = Camera(intrinsics, torch.eye(4, dtype=torch.float64), 12, 16, (0.001, 1000.0))
    samples = see_rows(rasterizer, camera, 2, slice(3, 7))
    assert samples.face.shape == (4, 16, 4) and samples.covered.all()
    fine = see_rows(rasterizer, supersampled(camera, 2), 1, slice(6, 14)).barycentric[:, :, 0]
    for row, column, a, b in [(0, 0, 0, 1), (2, 5, 1, 0), (3, 15, 1, 1)]:
        assert torch.equal(samples.barycentric[row, column, 2 * a + b], fine[2 * row + a, 2 * column + b])


def test_the_middle_of_the_sub_samples_is_the_pixel():
    intrinsics = torch.tensor([[20.0, 0, 7.3], [0, 21, 5.9], [0, 0, 1]], dtype=torch.float64)
    fine = supersampled(Camera(intrinsics, torch.eye(4, dtype=torch.float64), 12, 16, (0.1, 9.0)), 4)
    rays = [torch.linalg.inv(fine.intrinsics) @ torch.tensor([4 * 3 + b, 4 * 2 + 1.5, 1.0]).double() for b in range(4)]
    expected = torch.linalg.inv(intrinsics) @ torch.tensor([3.0, 2.0, 1.0]).double()
    torch.testing.assert_close(torch.stack(rays).mean(0), expected)


def test_bands_cover_every_row_once_and_stay_small():
    for height, width, ss_ratio in [(1, 1, 1), (36, 48, 2), (4320, 7680, 1), (4320, 7680, 4)]:
        rows = list(bands(height, width, ss_ratio))
        assert [row for band in rows for row in range(band.start, band.stop)] == list(range(height))
        assert max((band.stop - band.start) * width * ss_ratio**2 for band in rows) <= max(1 << 19, width * ss_ratio**2)
