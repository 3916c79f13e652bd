"""Metashape's camera export: `cameras.xml`, also called `cams.xml`.

    document > chunk > sensors > sensor(id, type) > resolution(width, height)
                                                  > calibration(class) > f, cx, cy, b1, b2, k1..k4, p1..p4
                     > components > component(id) > transform
                     > cameras > [group >] camera(id, sensor_id, component_id, label, enabled) > transform
                     > transform > rotation, translation, scale

A camera's transform is `cam_to_world`, OpenCV axes, in the frame of its component; component and chunk transforms
lead on to the frame of exported models. cx and cy are offsets from the image centre, and parameters that are zero are
left out. Metashape's lens is OpenCV's with p1 and p2 exchanged, and, corner-origin,

    K = [[f + b1, b2, W/2 + cx], [0, f, H/2 + cy], [0, 0, 1]]
"""

from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import defusedxml
import defusedxml.ElementTree
import numpy as np
from jaxtyping import Float

from common.datasets.scene import Distortion
from common.io.data_files import check_data_file

LARGEST_NUMBER = 1e30  # beyond this a number is damage; products of three transforms stay finite below it
PARAMETERS = ("f", "cx", "cy", "b1", "b2", "k1", "k2", "k3", "k4", "p1", "p2", "p3", "p4")


@dataclass(frozen=True)
class MetashapeSensor:
    """One lens.

    Attributes:
        kind: "frame" is a perspective camera.
        width, height: Pixels of its photographs.
        calibration: By parameter name: the adjusted one, or the first where none is adjusted.
        first_calibration: The first of the file, which is usually the initial one.
    """

    kind: str
    width: int
    height: int
    calibration: dict[str, float]
    first_calibration: dict[str, float]


@dataclass(frozen=True)
class MetashapeCamera:
    """One photograph.

    Attributes:
        label: Usually the file name without extension; may be a full path.
        sensor_id: Key into `MetashapeChunk.sensors`.
        component_id: Key into `MetashapeChunk.components`, or None.
        cam_to_component: OpenCV axes; None where the camera is not aligned.
        enabled: False where the user switched the photograph off.
        in_group: Whether the camera lies in a group of the chunk.
    """

    label: str
    sensor_id: str
    component_id: str | None
    cam_to_component: Float[np.ndarray, "4 4"] | None
    enabled: bool
    in_group: bool


@dataclass(frozen=True)
class MetashapeChunk:
    """One chunk: lenses and component transforms by id, cameras in the order of the file, transform to the world."""

    label: str
    sensors: dict[str, MetashapeSensor]
    components: dict[str, Float[np.ndarray, "4 4"]]
    cameras: tuple[MetashapeCamera, ...]
    chunk_to_world: Float[np.ndarray, "4 4"]


def read_metashape_xml(path: str | Path) -> tuple[MetashapeChunk, ...]:
    """The chunks of a file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Not XML, not a camera export, or a broken number; the sentence says where.
    """
    check_data_file(path)
    try:
        root = defusedxml.ElementTree.parse(path, forbid_dtd=True).getroot()
    except ParseError as error:
        line = error.position[0]
        raise ValueError(f"{path}:{line} is not valid XML: {error.msg}; export the cameras again") from None
    except defusedxml.DefusedXmlException:
        raise ValueError(f"{path} declares XML entities or a document type, which no camera export does") from None
    except (LookupError, ValueError) as error:  # an encoding that does not exist
        raise ValueError(f"{path} is not valid XML: {error}; export the cameras again") from None
    chunks = [*([root] if root.tag == "chunk" else []), *root.findall("chunk")]
    if not chunks:
        raise ValueError(f"{path} has no <chunk>; expected the cameras that Metashape exports as XML")
    return tuple(_read_chunk(chunk, str(path)) for chunk in chunks)


def resolve_sensor(sensor: MetashapeSensor, where: str) -> tuple[Float[np.ndarray, "3 3"], Distortion | None]:
    """Corner-origin intrinsics (b2 is their skew) and the lens; None for a pinhole.

    Raises:
        ValueError: Not a perspective lens, no calibration, or parameters that OpenCV's formula does not have.
    """
    if sensor.kind != "frame":
        raise ValueError(f"{where} has a lens of type '{sensor.kind}'; only 'frame' is supported")
    values = {name: sensor.calibration.get(name, 0.0) for name in PARAMETERS}
    if not values["f"]:
        raise ValueError(f"{where} has no calibration with a focal length; align the photographs before the export")
    unsupported = [name for name in ("k4", "p3", "p4") if values[name]]
    if unsupported:
        raise ValueError(f"{where} uses the lens parameter {unsupported[0]}; export undistorted photographs instead")
    f = values["f"]
    intrinsics = np.array(
        [
            [f + values["b1"], values["b2"], sensor.width / 2 + values["cx"]],
            [0.0, f, sensor.height / 2 + values["cy"]],
            [0.0, 0.0, 1.0],
        ]
    )
    lens = Distortion("opencv", tuple(values[name] for name in ("k1", "k2", "p2", "p1", "k3")))  # p1, p2 exchanged
    return intrinsics, None if lens.is_zero else lens


def world_to_cam_of(camera: MetashapeCamera, chunk: MetashapeChunk, *, local: bool = False) -> Float[np.ndarray, "4 4"]:
    """The pose of an aligned camera in the frame of exported models, `T_chunk T_component M` without its scale.

    Args:
        camera: Aligned.
        chunk: Its chunk.
        local: Leave out the chunk's transform, for models exported in local coordinates.
    """
    cam_to_world = chunk.components.get(camera.component_id, np.eye(4)) @ camera.cam_to_component
    if not local:
        cam_to_world = chunk.chunk_to_world @ cam_to_world
    rotation = cam_to_world[:3, :3] / np.cbrt(np.linalg.det(cam_to_world[:3, :3]))
    world_to_cam = np.eye(4)
    world_to_cam[:3, :3], world_to_cam[:3, 3] = rotation.T, -rotation.T @ cam_to_world[:3, 3]
    return world_to_cam


def _read_chunk(chunk: Element, path: str) -> MetashapeChunk:
    label = chunk.get("label", "")
    where = f"{path}: chunk '{label}'"
    cameras = chunk.find("cameras")
    direct = set() if cameras is None else set(cameras.findall("camera"))
    return MetashapeChunk(
        label=label,
        sensors={_id(sensor, where): _read_sensor(sensor, where) for sensor in chunk.findall("sensors/sensor")},
        components={
            _id(component, where): _read_similarity(component.find("transform"), where)
            for component in chunk.findall("components/component")
        },
        # Cameras lie in groups, and groups in groups.
        cameras=tuple(
            _read_camera(camera, camera not in direct, where)
            for camera in ([] if cameras is None else cameras.iter("camera"))
        ),
        chunk_to_world=_read_similarity(chunk.find("transform"), where),
    )


def _read_sensor(sensor: Element, where: str) -> MetashapeSensor:
    where = f"{where}, sensor {sensor.get('id')}"
    calibrations = sensor.findall("calibration")
    # The first one is usually class="initial": what the user or the EXIF block said before the alignment.
    adjusted = [calibration for calibration in calibrations if calibration.get("class") == "adjusted"]
    chosen = (adjusted or calibrations or [None])[0]
    resolution = sensor.find("resolution")
    if resolution is None and chosen is not None:
        resolution = chosen.find("resolution")
    size = [] if resolution is None else [resolution.get("width", ""), resolution.get("height", "")]
    if len(size) != 2 or not all(side.isdecimal() and int(side[:9]) > 0 for side in size):
        raise ValueError(f"{where} has no resolution with a positive width and height")
    kind = sensor.get("type") or (chosen is not None and chosen.get("type")) or "frame"
    first = calibrations[0] if calibrations else None
    parameters = (_read_calibration(calibration, where) for calibration in (chosen, first))
    return MetashapeSensor(kind, int(size[0][:9]), int(size[1][:9]), *parameters)


def _read_calibration(calibration: Element | None, where: str) -> dict[str, float]:
    values = {} if calibration is None else {name: calibration.find(name) for name in PARAMETERS}
    return {name: _floats(node, 1, f"{where}, {name}")[0] for name, node in values.items() if node is not None}


def _read_camera(camera: Element, in_group: bool, where: str) -> MetashapeCamera:
    label = camera.get("label", "")
    where = f"{where}, camera {camera.get('id')} ('{label[:100]}')"
    transform = camera.find("transform")
    pose = None if transform is None else np.array(_floats(transform, 16, f"{where}, transform")).reshape(4, 4)
    if pose is not None:
        _check_similarity(pose, f"{where}, transform")
    enabled = camera.get("enabled", "true").lower() not in ("false", "0")
    return MetashapeCamera(label, camera.get("sensor_id", ""), camera.get("component_id"), pose, enabled, in_group)


def _read_similarity(transform: Element | None, where: str) -> Float[np.ndarray, "4 4"]:
    """`[s R, t; 0 1]`, each part optional."""
    matrix = np.eye(4)
    if transform is None:
        return matrix
    rotation, translation, scale = (transform.find(name) for name in ("rotation", "translation", "scale"))
    if rotation is not None:
        matrix[:3, :3] = np.reshape(_floats(rotation, 9, f"{where}, rotation"), (3, 3))
    if scale is not None:
        matrix[:3, :3] *= _floats(scale, 1, f"{where}, scale")[0]
    if translation is not None:
        matrix[:3, 3] = _floats(translation, 3, f"{where}, translation")
    _check_similarity(matrix, f"{where}, transform")
    return matrix


def _check_similarity(matrix: Float[np.ndarray, "4 4"], where: str) -> None:
    """Refuse what does not turn, scale and move the world: the scale is divided out later and must be positive."""
    square = matrix[:3, :3] @ matrix[:3, :3].T
    scale = np.trace(square) / 3
    if not scale > 0 or np.abs(square / scale - np.eye(3)).max() > 1e-3 or np.linalg.det(matrix[:3, :3]) <= 0:
        raise ValueError(f"{where} is not a rotation with a positive scale")


def _floats(element: Element, count: int, where: str) -> list[float]:
    words = (element.text or "").split()
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if len(values) != count or not all(abs(value) < LARGEST_NUMBER for value in values):
        raise ValueError(f"{where} must hold {count} finite numbers, got '{' '.join(words)[:60]}'")
    return values


def _id(element: Element, where: str) -> str:
    if element.get("id") is None:
        raise ValueError(f"{where} has a <{element.tag}> without an id")
    return element.get("id")
