import numpy as np
import pytest

from common.io.mvsnet_camera import MvsnetCamera, read_mvsnet_camera, write_mvsnet_camera

TEXT = """extrinsic
1 0 0 10
0 1 0 20
0 0 1 30
0.0 0.0 0.0 1.0

intrinsic
500 0 320
0 510 256
0 0 1

425.0 2.5
"""


def read(tmp_path, text):
    path = tmp_path / "00000007_cam.txt"
    path.write_bytes(text.encode())
    return read_mvsnet_camera(path)


def test_words_come_back_in_their_places(tmp_path):
    camera = read(tmp_path, TEXT)
    np.testing.assert_array_equal(camera.world_to_cam[:3, 3], [10, 20, 30])
    np.testing.assert_array_equal(camera.intrinsics, [[500, 0, 320], [0, 510, 256], [0, 0, 1]])
    assert camera.depth_line == (425, 2.5)
    assert camera.lines == (2, 8, 12)


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("\n\n", "\n\n\n"),
        TEXT.replace("\n\n", "\n"),
        TEXT.replace(" ", "   "),
        TEXT.replace("\n", " \n"),
        TEXT.rstrip(),
        "\n" + TEXT,
    ],
)
def test_blank_lines_blanks_and_line_ends_do_not_matter(tmp_path, text):
    camera, expected = read(tmp_path, text), read(tmp_path, TEXT)
    np.testing.assert_array_equal(camera.world_to_cam, expected.world_to_cam)
    np.testing.assert_array_equal(camera.intrinsics, expected.intrinsics)
    assert camera.depth_line == expected.depth_line


def test_the_far_depth_follows_the_rule_that_is_asked_for(tmp_path):
    camera = read(tmp_path, TEXT)
    assert camera.near_far() == (425, 905)
    assert camera.near_far(192.0) == (425, 905)
    assert camera.near_far(1.06 * 191) == pytest.approx((425, 931.15))
    assert camera.near_far(1.06 * 192) == pytest.approx((425, 933.8))


def test_a_fourth_number_is_the_far_depth_and_the_third_may_be_fractional(tmp_path):
    camera = read(tmp_path, TEXT.replace("425.0 2.5", "2.0 0.5 191.7342 8.25"))
    assert camera.near_far() == (2.0, 8.25)
    assert camera.near_far(10.0) == (2.0, 7.0)
    assert read(tmp_path, TEXT.replace("425.0 2.5", "2.0 0.5 192.0")).near_far() == (2.0, 98.0)


def test_a_file_without_depth_line_has_no_bounds(tmp_path):
    assert read(tmp_path, TEXT.replace("425.0 2.5", "")).near_far() is None


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("425.0 2.5", "425.0", r":12 has 1 numbers after the intrinsics; expected 0, 2, 3 or 4"),
        ("425.0 2.5", "1 2 3 4 5", r":12 has 5 numbers"),
        ("extrinsic", "external", r":1 should say 'extrinsic', got 'external'"),
        ("0 0 1 30", "0 0 1", r":7 should say 'intrinsic', got '500'|:8 should say 'intrinsic'"),
        ("0 510 256", "0 five 256", r":9 should hold a number, got 'five'"),
        ("0 510 256", "0 nan 256", r":9 holds nan"),
        ("0 1 0 20", "0 1 0 1e400", r":3 holds 1e400"),
        ("0 0 1\n\n425.0 2.5", "", r"ends after 2\d words"),
    ],
)
def test_what_is_no_camera_is_refused_with_its_line(tmp_path, old, new, complaint):
    with pytest.raises(ValueError, match=f"00000007_cam.txt.*(?:{complaint})"):
        read(tmp_path, TEXT.replace(old, new))


@pytest.mark.parametrize("depth_line", [(), (425.0, 2.5), (1.0, 0.1, 191.73, 20.0)])
def test_a_round_trip_loses_no_digit(tmp_path, depth_line):
    random = np.random.default_rng(0)
    camera = MvsnetCamera(random.normal(size=(3, 3)), random.normal(size=(4, 4)), depth_line)
    write_mvsnet_camera(tmp_path / "a_cam.txt", camera)
    again = read_mvsnet_camera(tmp_path / "a_cam.txt")
    np.testing.assert_array_equal(again.intrinsics, camera.intrinsics)
    np.testing.assert_array_equal(again.world_to_cam, camera.world_to_cam)
    assert again.depth_line == depth_line


def test_view_0_of_dtu_has_its_known_numbers(real_data):
    full = read_mvsnet_camera(real_data / "dtu" / "Cameras" / "00000000_cam.txt")
    train = read_mvsnet_camera(real_data / "dtu" / "Cameras" / "train" / "00000000_cam.txt")
    expected = [
        [0.970263, 0.00747983, 0.241939, -191.02],
        [-0.0147429, 0.999493, 0.0282234, 3.28832],
        [-0.241605, -0.030951, 0.969881, 22.5401],
    ]
    np.testing.assert_allclose(full.world_to_cam[:3], expected, rtol=2e-5)
    np.testing.assert_array_equal(train.world_to_cam, full.world_to_cam)
    fx, fy, cx, cy = full.intrinsics[[0, 1, 0, 1], [0, 1, 2, 2]]
    np.testing.assert_allclose([fx, fy, cx, cy], [2892.33, 2883.18, 823.205, 619.071], rtol=1e-6, atol=5e-3)
    crop = [fx / 8, fy / 8, (cx / 2 - 80) / 4, (cy / 2 - 44) / 4]
    np.testing.assert_allclose(train.intrinsics[[0, 1, 0, 1], [0, 1, 2, 2]], crop, atol=1e-3)
    np.testing.assert_allclose(crop, [361.54125, 360.3975, 82.900625, 66.383875], atol=1e-3)
    assert full.near_far() == (425, 905)
