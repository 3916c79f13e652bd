"""Photographs with the cameras that Metashape exports.

    <folder>/cameras.xml or cams.xml
    <folder>/images/<label>.JPG          any picture suffix; `photos` is found as well

Photographs are matched to the labels of the cameras by their names without extension. Cameras that are not aligned or
switched off are skipped. Intrinsics are Metashape's: corner-origin, with the lens in `View.distortion`, which
`common.datasets.loading` undoes.
"""

from collections import Counter
from pathlib import Path, PurePosixPath

from common.datasets.photographs import PHOTO_SUFFIXES, image_file, with_short_names
from common.datasets.scene import Scene, View
from common.datasets.validation import check_view, checked_scene
from common.io.metashape_xml import MetashapeCamera, MetashapeChunk, read_metashape_xml, resolve_sensor, world_to_cam_of

XML_NAMES = ("cameras.xml", "cams.xml")
PHOTO_FOLDERS = ("images", "photos")


def read_metashape(
    path: str | Path, *, images: str | None = None, chunk: str | None = None, local: bool = False, photos: bool = True
) -> Scene:
    """The aligned cameras of one chunk that have a photograph, in the order of the file.

    Args:
        path: The xml, or the folder that has it.
        images: Folder of the photographs beside the xml; None looks for `images` and `photos`.
        chunk: Label of the chunk; None takes the one with most aligned cameras and says so.
        local: Leave out the chunk's transform: for meshes that were exported in local coordinates.
        photos: False reads the poses alone; the views then have no picture.

    Raises:
        FileNotFoundError: No xml, or none of the photographs.
        ValueError: The file is damaged, labels and photographs do not match one to one, or a photograph has another
            size than its sensor.
    """
    xml = _xml_path(Path(path))
    chosen, notes = _choose_chunk(read_metashape_xml(xml), chunk, xml)
    usable = [camera for camera in chosen.cameras if _is_usable(camera)]
    skipped = [camera.label for camera in chosen.cameras if not _is_usable(camera)]
    if skipped:
        what = f"{len(skipped)} of {len(chosen.cameras)} cameras that are not aligned or switched off"
        notes.append(f"skipped {what}: {_listed(skipped)}")
    if not usable:
        raise ValueError(f"{xml}: none of the {len(skipped)} cameras of chunk '{chosen.label}' is aligned")
    photographs: list[Path | None] = [None] * len(usable)
    if photos:
        photographs = _match(usable, _photo_folder(xml.parent, images), xml)
        missing = [camera.label for camera, path in zip(usable, photographs, strict=True) if path is None]
        if missing:
            what = f"{len(missing)} of {len(usable)} cameras without a photograph"
            notes.append(f"skipped {what}: {_listed(missing)}")
    pairs = zip(usable, photographs, strict=True)
    views = [_read_view(camera, path, chosen, local, xml) for camera, path in pairs if path is not None or not photos]
    name = xml.parent.resolve().name
    return checked_scene(Scene(name, with_short_names(views), pixel_origin="corner", notes=tuple(notes)), xml)


def _xml_path(path: Path) -> Path:
    if path.is_file():
        return path
    for name in XML_NAMES:
        if (path / name).is_file():
            return path / name
    raise FileNotFoundError(f"no {' or '.join(XML_NAMES)} in {path}; export the cameras from Metashape as XML")


def _photo_folder(folder: Path, images: str | None) -> Path:
    candidates = [folder / name for name in ([images] if images else PHOTO_FOLDERS)]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"no folder {candidates[0]} with the photographs of the Metashape cameras")


def _choose_chunk(chunks: tuple[MetashapeChunk, ...], label: str | None, xml: Path) -> tuple[MetashapeChunk, list[str]]:
    if label is not None:
        named = [chunk for chunk in chunks if chunk.label == label]
        if len(named) != 1:
            labels = ", ".join(f"'{chunk.label}'" for chunk in chunks)
            raise ValueError(f"{xml} has {len(named)} chunks called '{label}'; its chunks are {labels}")
        return named[0], []
    counts = [sum(camera.cam_to_component is not None for camera in chunk.cameras) for chunk in chunks]
    best = chunks[counts.index(max(counts))]
    if len(chunks) == 1:
        return best, []
    return best, [f"took chunk '{best.label}', which has most aligned cameras of {len(chunks)} chunks"]


def _is_usable(camera: MetashapeCamera) -> bool:
    return camera.enabled and camera.cam_to_component is not None


def _listed(labels: list[str], most: int = 10) -> str:
    rest = [f"and {len(labels) - most} more"] if len(labels) > most else []
    return ", ".join([*(label[:60] for label in labels[:most]), *rest])


def _match(cameras: list[MetashapeCamera], folder: Path, xml: Path) -> list[Path | None]:
    """The photograph of every camera; no two cameras may claim one, and no label may fit two."""
    by_stem: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in PHOTO_SUFFIXES and path.name[0] != "." and path.is_file():
            by_stem.setdefault(path.stem, []).append(path)
    found = []
    for camera in cameras:
        candidates = by_stem.get(_stem(camera.label), [])
        if len(candidates) > 1:
            names = " and ".join(str(path.relative_to(folder)) for path in candidates[:2])
            raise ValueError(f"{xml}: label '{camera.label}' fits {names} in {folder}; keep one of them")
        found.append(candidates[0] if candidates else None)
    if not any(found):
        raise FileNotFoundError(f"no photograph in {folder} is named like a camera of {xml}, '{cameras[0].label}' say")
    path, count = Counter(path for path in found if path is not None).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{xml}: {count} cameras have a label that fits {path}; give the photographs different names")
    return found


def _stem(label: str) -> str:
    """File name without extension of a label, which may be a path and may or may not have an extension."""
    name = PurePosixPath(label.replace("\\", "/")).name
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in PHOTO_SUFFIXES else name


def _read_view(camera: MetashapeCamera, path: Path | None, chunk: MetashapeChunk, local: bool, xml: Path) -> View:
    where = f"{xml}: camera '{camera.label[:100]}'"
    sensor = chunk.sensors.get(camera.sensor_id)
    if sensor is None:
        raise ValueError(f"{where} has sensor '{camera.sensor_id}', which the chunk does not list")
    intrinsics, lens = resolve_sensor(sensor, f"{xml}: sensor {camera.sensor_id}")
    image = image_file(path) if path is not None else None
    if image is not None and image.size != (sensor.width, sensor.height):
        raise ValueError(
            f"{path} has {image.size[0]} x {image.size[1]} pixels but its sensor in {xml} has {sensor.width} x"
            f" {sensor.height}; use the photographs as they were given to Metashape, not resized or rotated"
        )
    view = View(camera.label, image, intrinsics, world_to_cam_of(camera, chunk, local=local), distortion=lens)
    check_view(view, where)
    return view
