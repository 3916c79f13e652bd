"""Which scenes a config names, which of their views are targets and which may be sources.

The three data sets of the paper differ in layout, depth range, split and sampling rule; everything else is the same
for all of them and lives in `datasets.py`.
"""

import functools
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.datasets.dtu import read_dtu
from common.datasets.llff import read_llff
from common.datasets.nerf_synthetic import read_nerf_synthetic
from common.datasets.scene import Scene
from common.paths import resolve_input

METHOD_FOLDER = Path(__file__).parent.parent
DTU_NEAR_FAR = (425.0, 905.0)
NERF_NEAR_FAR = (2.5, 5.5)
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class SceneViews:
    """One scene as the method uses it.

    Attributes:
        scene: Paths and cameras.
        targets: View ids to render, in the order of the items.
        sources: View ids that may serve as sources.
    """

    scene: Scene
    targets: tuple[int, ...]
    sources: tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """One of the paper's data sets.

    Attributes:
        name: Folder level of point clouds ("dtu", "llff", "nerf").
        read: Data root and scene name to `Scene`.
        scenes: The scenes that are used where neither `scene` nor a list file names any.
        nearest_sources_only: Training draws from the first n + 1 of the pool (DTU) or from all of it.
    """

    name: str
    read: Callable[[Path, str], Scene]
    scenes: tuple[str, ...]
    nearest_sources_only: bool


@functools.cache
def splits() -> dict[str, Any]:
    """Scan lists and view ids as the paper uses them."""
    return json.loads((METHOD_FOLDER / "data" / "splits" / "splits.json").read_text(encoding="utf8"))


def find_layout(module: str) -> Layout:
    """The layout that a `*_dataset_module` setting names: by the paper's module path or by its short name.

    Raises:
        ValueError: There is no such layout; the sentence lists the choices.
    """
    lists = splits()
    layouts = {
        "dtu": Layout("dtu", read_dtu, (), True),
        "llff": Layout("llff", _read_llff, tuple(lists["llff_scenes"]), False),
        "nerf": Layout("nerf", _read_nerf, tuple(lists["nerf_scenes"]), False),
    }
    short = module.removeprefix("lib.datasets.").removesuffix(".gefu")
    if short not in layouts:
        raise ValueError(
            f"unknown data set module {module!r}; choose one of {', '.join(f'lib.datasets.{n}.gefu' for n in layouts)}"
        )
    return layouts[short]


def read_scenes(layout: Layout, settings: Any, workspace: str = ".") -> list[SceneViews]:
    """The scenes that a `train_dataset` or `test_dataset` section names and that are on disk.

    Raises:
        FileNotFoundError: The data root, the list file, the scene asked for, or every scene of the list is missing.
        ValueError: A scene is damaged, or has no view that can be used.
    """
    root = resolve_input(Path(workspace) / settings.data_root, METHOD_FOLDER)
    names = [settings.scene] if settings.scene else _listed_scenes(layout, settings, root)
    present = [name for name in names if _scene_folder(layout, root, name).is_dir()]
    if not present:
        wanted = f"{_scene_folder(layout, root, names[0])}" if names else f"{root}/Rectified/<scan>_train"
        raise FileNotFoundError(f"no scene folder {wanted}, and none of the {len(names)} scenes asked for is in {root}")
    if len(present) < len(names):
        missing = [name for name in names if name not in present]
        _LOGGER.warning(
            "%d of %d scenes are not in %s and are left out: %s", len(missing), len(names), root, _few(missing)
        )
    training = settings.split == "train"
    return [_choose_views(layout, layout.read(root, name), training, bool(settings.scene)) for name in present]


def _scene_folder(layout: Layout, root: Path, name: str) -> Path:
    return root / "Rectified" / f"{name}_train" if layout.name == "dtu" else root / name


def _listed_scenes(layout: Layout, settings: Any, root: Path) -> Sequence[str]:
    if layout.name != "dtu":
        return layout.scenes
    if settings.ann_file:
        return resolve_input(settings.ann_file, METHOD_FOLDER).read_text(encoding="utf8").split()
    found = [folder.name.removesuffix("_train") for folder in (root / "Rectified").glob("*_train")]
    return sorted(found, key=lambda name: (len(name), name))


def _read_llff(root: Path, name: str) -> Scene:
    return read_llff(root / name)


def _read_nerf(root: Path, name: str) -> Scene:
    return read_nerf_synthetic(root / name, ("train",), near_far=NERF_NEAR_FAR)


def _choose_views(layout: Layout, scene: Scene, training: bool, single: bool) -> SceneViews:
    """Targets and sources of one scene: DTU's 4 and 16 (or all 49), the paper's ids per scene, or every eighth view."""
    usable = [index for index, view in enumerate(scene.views) if view.image is not None]
    if layout.name == "dtu" and training and not single:  # across scans every view is a target and a source
        return SceneViews(scene, tuple(usable), tuple(usable))
    sources, testing = _paper_split(layout, scene, usable) or _every_eighth(usable)
    return SceneViews(scene, tuple(sources if training else testing), tuple(sources))


def _every_eighth(usable: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    """Sources and test views of a scene that the paper does not use."""
    testing = usable[::8]
    return [index for index in usable if index not in testing], testing


def _paper_split(layout: Layout, scene: Scene, usable: Sequence[int]) -> tuple[list[int], list[int]] | None:
    """Sources and test views of a scene that the paper lists, if the ids mean the same views here."""
    pairs = splits()["pairs"]
    name = "dtu" if layout.name == "dtu" else scene.name
    if f"{name}_train" not in pairs:
        return None
    sources, testing = pairs[f"{name}_train"], pairs[f"{name}_val"]
    if set(sources + testing) <= set(usable):
        return sources, testing
    _LOGGER.warning(
        "%s has %d views, not all that the paper's split names; every eighth view is tested and the others are sources",
        scene.name,
        len(usable),
    )
    return None


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
