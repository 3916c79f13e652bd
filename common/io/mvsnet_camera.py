"""Camera text files in MVSNet's style, `00000012_cam.txt`.

    extrinsic
    4 x 4 numbers       world_to_cam, OpenCV axes, rows
    intrinsic
    3 x 3 numbers       pixels of an image whose size follows from the folder, not from the file
    DEPTH_MIN DEPTH_INTERVAL [DEPTH_NUM [DEPTH_MAX]]        this line may be absent

Read word by word: blank lines, doubled blanks and line ends do not matter.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from common.io.atomic import atomic_path
from common.io.data_files import read_tokens


@dataclass(frozen=True)
class MvsnetCamera:
    """Content of one camera file.

    Attributes:
        intrinsics: As stored.
        world_to_cam: As stored, OpenCV axes.
        depth_line: The 0, 2, 3 or 4 numbers of the last line: minimum, interval, count (may be fractional), maximum.
        lines: Where the pose, the intrinsics and the depth line start in the file, counted from 1.
    """

    intrinsics: Float[np.ndarray, "3 3"]
    world_to_cam: Float[np.ndarray, "4 4"]
    depth_line: tuple[float, ...]
    lines: tuple[int, int, int] = (2, 8, 12)

    def near_far(self, num_intervals: float | None = None) -> tuple[float, float] | None:
        """Depth bounds, or None where the file has no depth line.

        Three rules for the far depth are in use and give different numbers; the caller chooses.

        Args:
            num_intervals: far = minimum + interval * num_intervals. None takes the fourth number, and where there is
                none 192 intervals.

        Example:
            The line `425 2.5` gives (425, 905); `num_intervals=1.06 * 191` gives (425, 931.15).
        """
        if not self.depth_line:
            return None
        near, interval = self.depth_line[:2]
        if num_intervals is None and len(self.depth_line) == 4:
            return near, self.depth_line[3]
        return near, near + interval * (192.0 if num_intervals is None else num_intervals)


def read_mvsnet_camera(path: str | Path) -> MvsnetCamera:
    """Read a camera file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A word is not where it belongs; the sentence names file and line.
    """
    tokens = read_tokens(path)
    words = [word for word, _ in tokens]
    if len(words) < 27:
        raise ValueError(
            f"{path} ends after {len(words)} words; a camera file has 'extrinsic', 16 numbers, 'intrinsic', 9 numbers"
        )
    for index, title in ((0, "extrinsic"), (17, "intrinsic")):
        if words[index].lower() != title:
            raise ValueError(f"{path}:{tokens[index][1]} should say '{title}', got '{words[index]}'")
    if len(words) not in (27, 29, 30, 31):
        raise ValueError(
            f"{path}:{tokens[27][1]} has {len(words) - 27} numbers after the intrinsics; expected 0, 2, 3 or 4"
        )
    numbers = [_number(path, *token) for index, token in enumerate(tokens) if index not in (0, 17)]
    return MvsnetCamera(
        intrinsics=np.array(numbers[16:25]).reshape(3, 3),
        world_to_cam=np.array(numbers[:16]).reshape(4, 4),
        depth_line=tuple(numbers[25:]),
        lines=(tokens[1][1], tokens[18][1], tokens[-1][1]),
    )


def write_mvsnet_camera(path: str | Path, camera: MvsnetCamera) -> None:
    """Write a camera file with every digit a float64 needs."""
    blocks = [["extrinsic", *_rows(camera.world_to_cam)], ["intrinsic", *_rows(camera.intrinsics)]]
    if camera.depth_line:
        blocks.append([" ".join(repr(float(number)) for number in camera.depth_line)])
    text = "\n\n".join("\n".join(block) for block in blocks) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf8")


def _rows(matrix: Float[np.ndarray, "rows columns"]) -> list[str]:
    return [" ".join(repr(float(value)) for value in row) for row in matrix]


def _number(path: str | Path, word: str, line: int) -> float:
    try:
        value = float(word)
    except ValueError:
        raise ValueError(f"{path}:{line} should hold a number, got '{word[:40]}'") from None
    if not np.isfinite(value):
        raise ValueError(f"{path}:{line} holds {word}, which is no usable number")
    return value
