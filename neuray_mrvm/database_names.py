"""Database names, `<type>/<scene>/<setting>`, and the scenes that a data folder has of each type (spec 3.1)."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.datasets.pose_check import check_poses
from common.datasets.real_estate import find_real_estate_clips
from common.settings import nearest_name
from neuray_mrvm.databases.blended_mvs import FOLDERS, BlendedMvs
from neuray_mrvm.databases.database import Database
from neuray_mrvm.databases.dtu import DtuTest, DtuTrain
from neuray_mrvm.databases.example import Example
from neuray_mrvm.databases.forward_facing import RealEstate, RealIconic, Space
from neuray_mrvm.databases.google_scanned_objects import GoogleScannedObjects
from neuray_mrvm.databases.llff_colmap import OWN_FOLDER, LlffColmap
from neuray_mrvm.databases.nerf_synthetic import NerfSynthetic

EXCLUDED_SCANS = Path(__file__).parent / "configs" / "dtu_test_scans.txt"
FALLBACK_DATA = Path("data")  # where `run_colmap.py` puts scenes


@dataclass(frozen=True)
class DatabaseType:
    """What is known of a type.

    Attributes:
        read: Makes the database of a name.
        folders: Where its scenes lie, below the data folder; the first is the type's own.
        setting: What the third part may be, as a pattern; None where names have two parts.
        example: A setting, for errors.
    """

    read: Callable[..., Database]
    folders: tuple[str, ...]
    setting: str | None = None
    example: str = ""


TYPES: dict[str, DatabaseType] = {
    "dtu_test": DatabaseType(DtuTest, ("dtu_test",), r"black_[1-9]\d{1,3}", "black_800"),
    "dtu_train": DatabaseType(DtuTrain, ("dtu_train",)),
    "llff_colmap": DatabaseType(LlffColmap, ("llff_colmap", OWN_FOLDER), r"high|low", "high"),
    "nerf_synthetic": DatabaseType(NerfSynthetic, ("nerf_synthetic",), r"(black|white)_[1-9]\d{1,3}", "black_800"),
    "gso": DatabaseType(
        GoogleScannedObjects, ("google_scanned_objects",), r"(black|white)_(raw|[1-9]\d{1,3})", "black_raw"
    ),
    "real_iconic": DatabaseType(RealIconic, ("real_iconic_noface",), r"4|8", "4"),
    "space": DatabaseType(Space, ("spaces_dataset/data/800",)),
    "real_estate": DatabaseType(
        RealEstate, ("real_estate_dataset/train/frames",), r"[1-9]\d{1,3}_[1-9]\d{1,3}", "450_800"
    ),
    "blended_mvs": DatabaseType(BlendedMvs, ("blended-mvs",), r"half", "half"),
    "example": DatabaseType(Example, ("example",), r"raw|[1-9]\d{1,3}", "raw"),
}


def database(name: str, data_dir: str | Path, *, num_kept: int = 64, check: bool = True) -> Database:
    """The database of a name.

    Args:
        name: Such as `dtu_test/snowman/black_800`.
        data_dir: Holds the data sets; `example` and `blended_mvs` are also looked for in `./data`.
        num_kept: How many pictures stay in memory.
        check: Also compare the pictures with the cameras; takes about a second.

    Raises:
        FileNotFoundError: The scene or a file of it is missing.
        ValueError: No such type or setting, a broken file, or cameras of another scene.
    """
    kind, scene = parse_name(name)
    folder = Path(data_dir).expanduser()
    if kind in ("example", "blended_mvs") and not _scene_folder(kind, scene, folder):
        folder = FALLBACK_DATA if _scene_folder(kind, scene, FALLBACK_DATA) else folder
    if not _scene_folder(kind, scene, folder):
        place = folder / TYPES[kind].folders[0] / scene
        near = nearest_name(scene, scene_names(kind, folder))
        hint = f"; did you mean {name.replace(scene, near, 1)!r}?" if near else "; see --base_data_dir"
        raise FileNotFoundError(f"no folder {place} for the database {name!r}{hint}")
    found = TYPES[kind].read(name, folder, num_kept=num_kept)
    if check:
        check_poses(found.scene, place=name)
    return found


def parse_name(name: str) -> tuple[str, str]:
    """Type and scene of a name.

    Raises:
        ValueError: It is not the name of a database; the sentence suggests the nearest.
    """
    parts = name.split("/")
    kind = parts[0]
    if kind not in TYPES:
        near = nearest_name(kind, TYPES) or "dtu_test"
        suggestion = "/".join([near, *parts[1:]])
        raise ValueError(f"unknown database {name!r}; did you mean {suggestion!r}? (types: {', '.join(TYPES)})")
    known = TYPES[kind]
    form = f"{kind}/<scene>" + (f"/{known.example}" if known.setting else "")
    if len(parts) != (3 if known.setting else 2) or parts[1] in ("", ".", "..") or "\\" in name:
        raise ValueError(f"database name {name!r} is not of the form {form!r}")
    if known.setting and not re.fullmatch(known.setting, parts[2]):
        suggestion = "/".join([kind, parts[1], known.example])
        raise ValueError(f"unknown setting {parts[2]!r} in database name {name!r}; did you mean {suggestion!r}?")
    return kind, parts[1]


def scene_names(kind: str, data_dir: str | Path) -> list[str]:
    """Scenes of a type that the data folder has, sorted; training scans of DTU without those of the tests."""
    data_dir = Path(data_dir)
    if kind == "real_estate":
        return find_real_estate_clips(data_dir / "real_estate_dataset")
    names = {path.name for folder in TYPES[kind].folders for path in (data_dir / folder).glob("*") if path.is_dir()}
    if kind == "dtu_train":
        excluded = set(EXCLUDED_SCANS.read_text(encoding="utf8").split())
        names = {name for name in names if name.startswith("scan")} - excluded
    if kind == "blended_mvs":
        names |= {name for name, folder in FOLDERS.items() if folder in names}
    return sorted(names)


def training_names(kind: str, data_dir: str | Path, resolution: str = "hr") -> list[str]:
    """Names of all databases of a type that training draws from.

    Args:
        kind: The type.
        data_dir: Holds the data sets.
        resolution: hr or lr.
    """
    settings = {
        "gso": {"hr": "/black_raw", "lr": "/black_400"},
        "real_iconic": {"hr": "/4", "lr": "/8"},
        "real_estate": dict.fromkeys(("hr", "lr"), "/450_800"),
    }
    setting = settings.get(kind, {}).get(resolution) or ("/" + TYPES[kind].example if TYPES[kind].setting else "")
    return [f"{kind}/{scene}{setting}" for scene in scene_names(kind, data_dir)]


def _scene_folder(kind: str, scene: str, data_dir: Path) -> bool:
    scene = FOLDERS.get(scene, scene) if kind == "blended_mvs" else scene
    return any((data_dir / folder / scene).is_dir() for folder in TYPES[kind].folders)
