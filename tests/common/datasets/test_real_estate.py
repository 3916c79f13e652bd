import numpy as np
import pytest

from common.datasets.loading import load_image
from common.datasets.real_estate import find_real_estate_clips, read_real_estate
from common.datasets.writers.real_estate import FRAME_INTERVAL, write_real_estate
from common.io.depth_maps import write_colmap_array


@pytest.fixture
def root(rendered_scene, tmp_path):
    write_real_estate(tmp_path, rendered_scene)
    return tmp_path


def edit(root, number, line):
    """Replace a line of the camera file (counted from 1)."""
    path = root / "train" / "cameras" / "toy.txt"
    lines = path.read_text().splitlines()
    lines[number - 1] = line
    path.write_text("\n".join(lines))


def test_what_is_written_comes_back(root, rendered_scene):
    scene = read_real_estate(root, "toy")
    assert scene.name == "toy"
    for view, truth in zip(scene.with_pixel_origin("center").views, rendered_scene.views, strict=True):
        np.testing.assert_allclose(view.intrinsics, truth.intrinsics, atol=1e-12)
        np.testing.assert_array_equal(view.world_to_cam, truth.world_to_cam)
        assert view.near_far == (1.0, 100.0)
        np.testing.assert_array_equal(np.rint(load_image(view) * 255), truth.image)


def test_timestamps_are_sorted_as_numbers(root):
    names = [view.name for view in read_real_estate(root, "toy").views]
    assert names == [str(index * FRAME_INTERVAL) for index in range(1, 6)] and names != sorted(names)


def test_a_scene_in_millimetres_is_scaled_into_the_fixed_bounds(make_rendered_scene, tmp_path):
    from common.datasets.writers.units import moved_scene, similarity

    millimetres = moved_scene(make_rendered_scene(), similarity(1e-3))
    assert millimetres.near_far[0] > 100
    write_real_estate(tmp_path, millimetres)
    for view, truth in zip(read_real_estate(tmp_path, "toy").views, millimetres.views, strict=True):
        scale = np.linalg.norm(view.world_to_cam[:3, 3]) / np.linalg.norm(truth.world_to_cam[:3, 3])
        near, far = scale * np.array(millimetres.near_far)
        assert 1 < near < far < 100
        np.testing.assert_allclose(view.world_to_cam[:3, :3], truth.world_to_cam[:3, :3], atol=1e-12)


@pytest.mark.parametrize("place", ["", "train", "train/frames/toy"])
def test_the_root_the_split_and_the_clip_will_do(root, place):
    assert len(read_real_estate(root / place).views) == 5


def test_one_of_several_clips_must_be_named(root, make_rendered_scene):
    write_real_estate(root, make_rendered_scene("other"))
    assert find_real_estate_clips(root) == ["other", "toy"]
    with pytest.raises(ValueError, match="has 2 RealEstate10K clips; say which one"):
        read_real_estate(root)
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        read_real_estate(root, "nowhere")
    with pytest.raises(ValueError, match="not inside"):
        read_real_estate(root, "../../secret")


def test_lines_without_picture_and_pictures_without_line_are_counted(root):
    frames = root / "train" / "frames" / "toy"
    (frames / f"{FRAME_INTERVAL}.png").unlink()
    (frames / f"{2 * FRAME_INTERVAL}.png").rename(frames / "7.png")
    (frames / "thumb.png").write_bytes(b"junk")
    scene = read_real_estate(root)
    assert len(scene.views) == 3
    assert scene.notes == ("skipped 2 of 5 timestamps without a picture", "skipped 1 pictures without a camera")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("1 2 3", r"toy\.txt:3 has 3 numbers, expected a timestamp and 18 numbers"),
        (" ".join(["x"] * 19), r"toy\.txt:3 has 19 numbers"),
        (" ".join(["66732", *["x"] * 18]), r"toy\.txt:3 could not convert"),
        (f"{FRAME_INTERVAL} " + " ".join(["0"] * 18), r"toy\.txt:3 repeats timestamp"),
        (
            "66732 nan 1 .5 .5 0 0 1 0 0 0 0 1 0 0 0 0 1 0",
            r"toy\.txt:3 has intrinsics with numbers that are not finite",
        ),
        ("66732 -1 1 .5 .5 0 0 1 0 0 0 0 1 0 0 0 0 1 0", r"toy\.txt:3 has focal lengths -64"),
        ("66732 1 1 .5 .5 0 0 1 0 0 0 0 2 0 0 0 0 1 0", r"toy\.txt:3 has a pose whose rotation is not orthonormal"),
    ],
)
def test_broken_lines_are_refused_with_their_number(root, line, sentence):
    edit(root, 3, line)
    with pytest.raises(ValueError, match=sentence):
        read_real_estate(root)


def test_windows_line_ends_and_blank_lines_do_not_matter(root):
    path = root / "train" / "cameras" / "toy.txt"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n  \r\n")
    assert len(read_real_estate(root).views) == 5


def test_cached_depth_is_found(root):
    name = f"{2 * FRAME_INTERVAL}.jpg.geometric.bin"
    path = root / "cache" / "real_estate" / "toy" / "dense_out" / "stereo" / "depth_maps" / name
    write_colmap_array(path, np.ones((48, 64), np.float32))
    views = read_real_estate(root, depth_cache=root / "cache").views
    assert [view.depth is not None for view in views] == [False, True, False, False, False]
