"""Damaged descriptions never crash a reader: whatever happens to their bytes, the answer is a scene or one sentence."""

import numpy as np
import pytest

from common.datasets.open_scene import open_scene
from common.datasets.writers.colmap import write_colmap
from common.datasets.writers.layouts import LAYOUTS

NUM_TRIALS = 15
DESCRIPTIONS = [
    ("colmap", "sparse/0/cameras.bin"),
    ("colmap", "sparse/0/images.bin"),
    ("colmap", "sparse/0/points3D.bin"),
    ("colmap_txt", "sparse/0/cameras.txt"),
    ("colmap_txt", "sparse/0/images.txt"),
    ("colmap_txt", "sparse/0/points3D.txt"),
    ("transforms", "transforms.json"),
    ("metashape", "cameras.xml"),
    ("neus", "cameras_sphere.npz"),
    ("google_scanned_objects", "pose/000001.txt"),
    ("google_scanned_objects", "intrinsics/000001.txt"),
    ("real_estate", "train/cameras/scan1.txt"),
    ("spaces", "models.json"),
    ("llff_colmap", "sparse/images.bin"),
    ("llff_colmap", "depth_range.npy"),
]
TOKENS = [
    b"nan",
    b"-1",
    b"1e999",
    b"1e308",
    b"9" * 30,
    b"\xff",
    b"\0",
    b"",
    b'"',
    b"[",
    b"{",
    b"../../x",
    b"null",
    b"<a>",
]


@pytest.fixture(scope="module")
def places(make_rendered_scene, tmp_path_factory):
    """`places(layout)` is the folder of a scene in that layout."""
    made = {}

    def write(name):
        if name not in made:
            root = tmp_path_factory.mktemp(name)
            scene = make_rendered_scene("scan1", num_views=3)
            write = LAYOUTS[name].write if name in LAYOUTS else lambda *args: write_colmap(*args, encoding="txt")
            write(root, scene)
            made[name] = root if name == "real_estate" else root / "scan1"
        return made[name]

    return write


def damaged(data, generator):
    """The bytes with one to three faults: a changed byte, a cut, a strange word, a run of noise."""
    result = bytearray(data)
    for _ in range(generator.integers(1, 4)):
        kind, start = generator.integers(4), int(generator.integers(len(result)))
        if kind == 0:
            result[start] = generator.integers(256)
        elif kind == 1:
            del result[start:]
        elif kind == 2:
            result[start : start + int(generator.integers(9))] = TOKENS[generator.integers(len(TOKENS))]
        else:
            result[start : start + 8] = generator.bytes(8)
        result = result or bytearray(b"x")
    return bytes(result)


@pytest.mark.parametrize(("name", "file"), DESCRIPTIONS)
def test_damage_gives_a_scene_or_one_sentence(places, name, file):
    folder = places(name)
    path = folder / file
    data = path.read_bytes()
    generator = np.random.default_rng(len(data))
    refused = 0
    try:
        for _ in range(NUM_TRIALS):
            path.write_bytes(damaged(data, generator))
            try:
                open_scene(folder, name.removesuffix("_txt"))
            except (ValueError, FileNotFoundError) as error:  # anything else fails the test
                refused += 1
                assert str(folder) in str(error) and "\n" not in str(error)
    finally:
        path.write_bytes(data)
    assert refused > 3
    open_scene(folder, name.removesuffix("_txt"))
