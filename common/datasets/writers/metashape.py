"""Writes photographs with Metashape's camera export and mesh; see `common/datasets/metashape.py` for the layout."""

from pathlib import Path
from xml.etree import ElementTree as xml

import numpy as np
from jaxtyping import Float

from common.datasets.rendered_scene import RenderedScene, RenderedView
from common.datasets.scene import Distortion
from common.datasets.undistortion import distort_image
from common.io.atomic import atomic_path
from common.io.images import write_image


def write_metashape(
    folder: Path,
    scene: RenderedScene,
    *,
    lens: Distortion | None = None,
    chunk_to_world: Float[np.ndarray, "4 4"] | None = None,
) -> None:
    """Write `cameras.xml`, `images/*.JPG` and the mesh `1.obj` in the world of the scene.

    Args:
        folder: The one that holds all captures.
        scene: What to write.
        lens: None as after Metashape's export of undistorted photographs; else k1 k2 p1 p2 k3 in OpenCV's order.
        chunk_to_world: A similarity to store as the chunk's transform; the cameras are then in the chunk's frame.
    """
    capture = Path(folder) / scene.name
    document = xml.Element("document", version="1.5.0")
    chunk = xml.SubElement(document, "chunk", label="Chunk 1", enabled="true")
    sensors = xml.SubElement(chunk, "sensors", next_id=str(len(scene.views)))
    cameras = xml.SubElement(chunk, "cameras", next_id=str(len(scene.views)), next_group_id="0")
    to_chunk = np.eye(4) if chunk_to_world is None else np.linalg.inv(chunk_to_world)
    for index, view in enumerate(scene.views):
        label = f"IMG_{index + 1:04d}"
        _add_sensor(sensors, index, view, lens)
        pose = to_chunk @ np.linalg.inv(view.world_to_cam)
        pose[:3, :3] /= np.cbrt(np.linalg.det(pose[:3, :3]))
        camera = xml.SubElement(cameras, "camera", id=str(index), sensor_id=str(index), label=label)
        xml.SubElement(camera, "transform").text = _join(pose)
        write_image(capture / "images" / f"{label}.JPG", distort_image(view.image, view.intrinsics, lens))
    if chunk_to_world is not None:
        _add_transform(chunk, chunk_to_world)
    with atomic_path(capture / "cameras.xml") as temporary:
        xml.ElementTree(document).write(temporary, encoding="UTF-8", xml_declaration=True)
    with atomic_path(capture / "1.obj") as temporary:
        scene.mesh.export(temporary, include_texture=False)


def _add_sensor(sensors: xml.Element, index: int, view: RenderedView, lens: Distortion | None) -> None:
    height, width = view.depth.shape
    (fx, skew, cx), (_, fy, cy) = view.intrinsics[:2].tolist()
    k1, k2, p1, p2, k3 = (*(lens.coefficients if lens else ()), *(0.0,) * 5)[:5]
    values = {"f": fy, "cx": cx + 0.5 - width / 2, "cy": cy + 0.5 - height / 2, "b1": fx - fy, "b2": skew}
    values |= {"k1": k1, "k2": k2, "k3": k3, "p1": p2, "p2": p1}  # p1 and p2 are exchanged in OpenCV
    sensor = xml.SubElement(sensors, "sensor", id=str(index), label="generated", type="frame")
    size = {"width": str(width), "height": str(height)}
    xml.SubElement(sensor, "resolution", size)
    for kind, entries in (("initial", {"f": 1.2 * width}), ("adjusted", values)):
        calibration = xml.SubElement(sensor, "calibration", {"type": "frame", "class": kind})
        xml.SubElement(calibration, "resolution", size)
        for name, value in entries.items():
            if value:  # Metashape leaves out zeros
                xml.SubElement(calibration, name).text = repr(float(value))


def _add_transform(chunk: xml.Element, chunk_to_world: Float[np.ndarray, "4 4"]) -> None:
    scale = np.cbrt(np.linalg.det(chunk_to_world[:3, :3]))
    transform = xml.SubElement(chunk, "transform")
    xml.SubElement(transform, "rotation", locked="false").text = _join(chunk_to_world[:3, :3] / scale)
    xml.SubElement(transform, "translation", locked="false").text = _join(chunk_to_world[:3, 3])
    xml.SubElement(transform, "scale", locked="true").text = repr(float(scale))


def _join(values: np.ndarray) -> str:
    return " ".join(repr(float(value)) for value in np.ravel(values))
