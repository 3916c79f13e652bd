"""The layouts that scenes can be written in: one entry a writer."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.datasets.rendered_scene import RenderedScene
from common.datasets.writers.dtu import write_dtu


@dataclass(frozen=True)
class Layout:
    """How scenes of a layout are made and stored.

    Attributes:
        write: Stores one scene below the folder that holds all of them.
        rig: The cameras that suit it, a name of `common.synthetic.RIGS`.
        size: Width and height of the pictures in the real data set.
        scene_name: Names the n-th scene, n from 1, as the data set does.
    """

    write: Callable[[Path, RenderedScene], None]
    rig: str
    size: tuple[int, int]
    scene_name: str = "scene{number}"


LAYOUTS: dict[str, Layout] = {
    "dtu": Layout(write_dtu, rig="dtu", size=(640, 512), scene_name="scan{number}"),
}
