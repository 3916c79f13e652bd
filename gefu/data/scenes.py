"""Which scenes a config names, which of their views are targets and which may be sources.

The three data sets of the paper differ in layout, depth range, split and sampling rule; everything else is the same for all of them
and lives in `datasets.py`.
"""

import functools
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.datasets.dtu import read_dtu
from common.datasets.scene import Scene
from common.paths import resolve_input

METHOD_FOLDER = Path(__file__).parent.parent
DTU_NEAR_FAR = (425.0, 905.0)
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
        read: Folder and scene name to `Scene`.
        scenes: The scenes that are used where neither `scene` nor a list file names any.
        split_name: Key of the view ids of a scene in splits.json, without `_train` or `_val`.
        nearest_sources_only: Training draws from the first n + 1 of the pool (DTU) or from all of it.
    """

    name: str
    read: Callable[[Path, str], Scene]
    scenes: tuple[str, ...]
    split_name: str
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
        "dtu": Layout("dtu", read_dtu, (), "dtu", True),
        "llff": Layout("llff", _read_llff, tuple(lists["llff_scenes"]), "{scene}", False),
        "nerf": Layout("nerf", _read_nerf, tuple(lists["nerf_scenes"]), "{scene}", False),
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
    names = [settings.scene] if settings.scene else list(_listed_scenes(layout, settings, root))
    present = [name for name in names if is_present(layout, root, name)]
    if not present:
        raise FileNotFoundError(f"none of the {len(names)} scenes asked for ({', '.join(names[:3])} ...) is in {root}")
    if len(present) < len(names):
        missing = [name for name in names if name not in present]
        _LOGGER.warning(
            "%d of %d scenes are not in %s (first %s) and are left out", len(missing), len(names), root, missing[0]
        )
    is_test = settings.split != "train"
    return [_choose_views(layout, layout.read(root, name), is_test, bool(settings.scene)) for name in present]


def is_present(layout: Layout, root: Path, name: str) -> bool:
    """Whether a scene's folder is on disk."""
    return (root / "Rectified" / f"{name}_train" if layout.name == "dtu" else root / name).is_dir()


def _listed_scenes(layout: Layout, settings: Any, root: Path) -> Sequence[str]:
    if layout.name != "dtu":
        return layout.scenes
    if settings.ann_file:
        path = resolve_input(settings.ann_file, METHOD_FOLDER)
        return path.read_text(encoding="utf8").split()
    found = [folder.name.removesuffix("_train") for folder in (root / "Rectified").glob("*_train")]
    return sorted(found, key=lambda name: (len(name), name))


def _choose_views(layout: Layout, scene: Scene, is_test: bool, is_single: bool) -> SceneViews:
    """Targets and sources of one scene.

    DTU trains on all views when it trains across scans and on 16 when it trains on one. A scene that the paper does not list keeps
    every eighth view for testing.
    """
    usable = [index for index, view in enumerate(scene.views) if view.image is not None]
    pairs = splits()["pairs"]
    key = layout.split_name.format(scene=scene.name)
    if f"{key}_train" in pairs and max(pairs[f"{key}_train"] + pairs[f"{key}_val"]) < len(scene.views):
        training, testing = pairs[f"{key}_train"], pairs[f"{key}_val"]
    else:
        testing = usable[::8]
        training = [index for index in usable if index not in testing]
    if layout.name == "dtu" and not is_test and not is_single:
        training = usable
    targets = tuple(index for index in (testing if is_test else training) if index in usable)
    sources = tuple(index for index in training if index in usable)
    if not targets:
        raise ValueError(f"scene {scene.name} has no {'test' if is_test else 'training'} view with a picture")
    return SceneViews(scene, targets, sources)


def _read_llff(root: Path, name: str) -> Scene:
    from common.datasets.llff import read_llff

    return read_llff(root, name)


def _read_nerf(root: Path, name: str) -> Scene:
    from common.datasets.nerf_synthetic import read_nerf_synthetic

    return read_nerf_synthetic(root, name)
