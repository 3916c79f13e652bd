import cv2
import numpy as np
import pytest

from common.io.videos import write_video


def frames(count, height=48, width=64):
    for index in range(count):
        picture = np.zeros((height, width, 3), np.uint8)
        picture[..., 0], picture[..., 2] = 20 * index, 200
        yield picture


def read_video(path):
    capture, read = cv2.VideoCapture(str(path)), []
    while True:
        there, frame = capture.read()
        if not there:
            return capture.get(cv2.CAP_PROP_FPS), read
        read.append(frame[..., ::-1])


def test_frames_come_back_with_their_rate(tmp_path):
    assert write_video(tmp_path / "deep" / "a.mp4", frames(6), fps=10.0) == 6
    rate, read = read_video(tmp_path / "deep" / "a.mp4")
    assert rate == 10
    assert len(read) == 6
    for original, frame in zip(frames(6), read, strict=True):
        assert np.abs(frame.astype(int) - original).mean() < 4


def test_odd_sizes_are_enlarged_to_multiples_of_16(tmp_path):
    write_video(tmp_path / "a.mp4", frames(2, 50, 61))
    _, read = read_video(tmp_path / "a.mp4")
    assert read[0].shape == (64, 64, 3)


def test_a_failing_generator_leaves_no_file(tmp_path):
    def broken():
        yield from frames(2)
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        write_video(tmp_path / "a.mp4", broken())
    assert not list(tmp_path.iterdir())


def test_no_frames_and_mixed_frames_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one frame"):
        write_video(tmp_path / "a.mp4", [])
    mixed = [np.zeros((16, 16, 3), np.uint8), np.zeros((16, 32, 3), np.uint8)]
    with pytest.raises(ValueError, match=r"frame 1 of .*a.mp4 is uint8 \(16, 32, 3\), expected uint8 \(16, 16, 3\)"):
        write_video(tmp_path / "a.mp4", mixed)
    assert not list(tmp_path.iterdir())
