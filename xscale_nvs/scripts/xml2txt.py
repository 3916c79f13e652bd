"""Turn Metashape's `cams.xml` and undistorted photographs into the folders that XScale-NVS reads, as the paper does.

    python -u scripts/xml2txt.py --subject_file /path/to/scene --dsp_factor 4

Reads `cams.xml` and `images/LABEL.JPG` of the scene, writes `images_4/LABEL.JPG` and `cams_4/LABEL_cam.txt` there. The
constants below are the defaults. As in the paper, the first chunk counts, its first calibration, and cameras outside
groups; lens and transforms of chunk and component are ignored, so the photographs must be the undistorted ones of
Metashape's export and the mesh must be in the chunk's local coordinates. `tools/metashape_to_cams.py` needs neither.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from common.datasets.validation import check_intrinsics, inside
from common.entry_point import run_command
from common.io.images import read_image_size, read_pixels, write_pixels
from common.io.metashape_xml import MetashapeCamera, MetashapeSensor, read_metashape_xml
from common.io.mvsnet_camera import MvsnetCamera, write_mvsnet_camera

subject_file = "/Your/path/to/dataset/SCENE_NAME"
dsp_factor = 1
key = ""

LENS_PARAMETERS = ("b1", "b2", "k1", "k2", "k3", "k4", "p1", "p2", "p3", "p4")


def main(arguments: Sequence[str] | None = None) -> None:
    """Convert the scene that the constants or the command line name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subject_file", type=Path, default=Path(subject_file), help="folder of the scene")
    parser.add_argument("--dsp_factor", type=int, default=dsp_factor, help="reduces the pictures")
    parser.add_argument("--key", default=key, help="put in front of every name")
    options = parser.parse_args(arguments)
    for line in convert(options.subject_file, options.dsp_factor, options.key):
        print(line)


def convert(folder: Path, downscale: int = 1, prefix: str = "") -> list[str]:
    """Write the pictures and cameras of a scene; returns sentences about what was done and left out.

    Args:
        folder: Has `cams.xml` and `images`.
        downscale: The pictures have int(W / d) x int(H / d) pixels, averaged over areas; intrinsics are divided by d.
        prefix: In front of every name.

    Raises:
        FileNotFoundError: No xml or none of the photographs.
        ValueError: The xml is damaged, two cameras have one label, or a photograph has another size than its sensor.
    """
    if downscale < 1:
        raise ValueError(f"dsp_factor must be a whole number from 1, got {downscale}")
    xml = folder / "cams.xml"
    chunk = read_metashape_xml(xml)[0]
    cameras = [camera for camera in chunk.cameras if not camera.in_group]
    aligned = [camera for camera in cameras if camera.cam_to_component is not None]
    label, count = Counter(camera.label for camera in aligned).most_common(1)[0] if aligned else ("", 0)
    if count > 1:
        raise ValueError(f"{xml} has {count} cameras with the label '{label}'; give them different names in Metashape")
    photographs = {camera.label: inside(folder / "images", f"{camera.label}.JPG", xml) for camera in aligned}
    present = [camera for camera in aligned if photographs[camera.label].is_file()]
    if not present:
        raise FileNotFoundError(
            f"none of the {len(aligned)} aligned cameras of {xml} has a photograph like {folder}/images/LABEL.JPG;"
            " export the undistorted photographs from Metashape, or use tools/metashape_to_cams.py"
        )
    for camera in tqdm(present, "Writing pictures", unit="picture"):
        _convert_camera(camera, chunk.sensors, photographs[camera.label], downscale, prefix, xml)
    skipped = {
        "not aligned": len(cameras) - len(aligned),
        "without a photograph": len(aligned) - len(present),
        "in groups, which the paper's script leaves out": len(chunk.cameras) - len(cameras),
    }
    sensors = {camera.sensor_id: chunk.sensors[camera.sensor_id] for camera in present}
    return [
        f"{len(present)} views in {folder}",
        *(f"left out {number} cameras {why}" for why, number in skipped.items() if number),
        *_lens_note(list(sensors.values()), xml),
    ]


def intrinsics_of(sensor: MetashapeSensor, where: str) -> Float[np.ndarray, "3 3"]:
    """Corner-origin float32 intrinsics of undistorted photographs; an absent cx or cy is zero.

    Raises:
        ValueError: There is no focal length.
    """
    values = sensor.first_calibration
    if not values.get("f"):
        raise ValueError(f"{where} has no calibration with a focal length; align the photographs before the export")
    cx, cy = sensor.width / 2 + values.get("cx", 0.0), sensor.height / 2 + values.get("cy", 0.0)
    intrinsics = np.array([[values["f"], 0, cx], [0, values["f"], cy], [0, 0, 1]])
    check_intrinsics(intrinsics, (sensor.width, sensor.height), where)
    return intrinsics.astype(np.float32)


def _convert_camera(
    camera: MetashapeCamera,
    sensors: dict[str, MetashapeSensor],
    photograph: Path,
    downscale: int,
    prefix: str,
    xml: Path,
) -> None:
    where = f"{xml}: camera '{camera.label[:100]}'"
    sensor = sensors.get(camera.sensor_id)
    if sensor is None:
        raise ValueError(f"{where} has sensor '{camera.sensor_id}', which the chunk does not list")
    size = read_image_size(photograph)
    if size != (sensor.width, sensor.height):
        raise ValueError(
            f"{photograph} has {size[0]} x {size[1]} pixels but its sensor in {xml} has {sensor.width} x"
            f" {sensor.height}; use the undistorted photographs at full size"
        )
    reduced = (size[0] // downscale, size[1] // downscale)
    if min(reduced) < 1:
        raise ValueError(f"{photograph} has {size[0]} x {size[1]} pixels and cannot be reduced by {downscale}")
    intrinsics = intrinsics_of(sensor, f"{xml}: sensor {camera.sensor_id}")
    intrinsics[:2] *= 1 / downscale
    folder, name = xml.parent, f"{prefix}{camera.label}"
    picture = inside(folder / f"images_{downscale}", f"{name}.JPG", xml)
    text = inside(folder / f"cams_{downscale}", f"{name}_cam.txt", xml)
    pixels = read_pixels(photograph)
    write_pixels(
        picture, cv2.resize(pixels[..., :3] if pixels.ndim == 3 else pixels, reduced, interpolation=cv2.INTER_AREA)
    )
    write_mvsnet_camera(text, MvsnetCamera(intrinsics, np.linalg.inv(camera.cam_to_component), ()))


def _lens_note(sensors: list[MetashapeSensor], xml: Path) -> list[str]:
    if not any(sensor.first_calibration.get(name) for sensor in sensors for name in LENS_PARAMETERS):
        return []
    return [f"the lens in {xml} is ignored: the photographs must be the undistorted ones of Metashape's export"]


if __name__ == "__main__":
    run_command(main)
