"""Export the camera of a Blender scene, frame by frame, as a camera path that `navigate.py` renders. Runs in Blender.

    blender scene.blend --background --python tools/blender_camera_path.py -- --output path.json
    blender scene.blend --background --python tools/blender_camera_path.py -- --output path.json \
        --mesh Castle --camera Camera.001 --step 2

Import the mesh that the method was trained on, animate a camera around it, save, run this. Blender's importers turn
meshes (OBJ: y up to z up), and users move and scale them; all of that is in the object's matrix. Give the object's name
with --mesh and the path is written in the coordinates of the mesh file; do not "apply" its transforms. Without --mesh
the path is in Blender's world, which is right only where the object's matrix is the identity.

Camera: focal length from lens and sensor as the sensor fit says, shift, pixel aspect, resolution and percentage, all
per frame, so that zooms are kept. Only perspective cameras. The file is that of `common/io/camera_path.py`: OpenCV
axes, the centre of the top-left pixel is (0, 0).

This file stands alone: Blender's Python has NumPy but not this project.
"""

import argparse
import json
import os
import sys

import numpy as np


def main(arguments):
    """Export what the words after `--` ask for."""
    parser = argparse.ArgumentParser(prog="blender_camera_path.py", description=__doc__.splitlines()[0])
    parser.add_argument("--output", required=True, help="JSON file to write")
    parser.add_argument("--camera", help="name of the camera object; default: the scene's active camera of each frame")
    parser.add_argument("--mesh", help="name of the object in whose file's coordinates the path is written")
    parser.add_argument("--step", type=int, help="every so many frames; default: the scene's frame step")
    options = parser.parse_args(arguments)
    try:
        import bpy
    except ImportError:
        raise SystemExit(
            "error: this script runs inside Blender: blender scene.blend --background --python "
            "tools/blender_camera_path.py -- --output path.json"
        ) from None
    path = export_path(bpy.context.scene, bpy.data.objects, options.camera, options.mesh, options.step)
    temporary = options.output + ".part"
    with open(temporary, "w", encoding="utf8") as file:
        json.dump(path, file, indent=1)
    os.replace(temporary, options.output)
    print(f"{len(path['frames'])} frames are in {options.output}")


def export_path(scene, objects, camera_name=None, mesh_name=None, step=None):
    """The content of the JSON file; the scene stands at its last frame afterwards.

    Raises:
        SystemExit: No camera, no such object, a camera without perspective, or an empty frame range.
    """
    camera, mesh = named(objects, camera_name), named(objects, mesh_name)
    step = scene.frame_step if step is None else step
    numbers = range(scene.frame_start, scene.frame_end + 1, step) if step > 0 else ()
    if not numbers:
        raise SystemExit(f"error: no frames from {scene.frame_start} to {scene.frame_end} in steps of {step}")
    frames = []
    for number in numbers:
        scene.frame_set(number)
        seen_by = camera or scene.camera  # markers may switch the active camera
        if seen_by is None or seen_by.type != "CAMERA":
            raise SystemExit(f"error: frame {number} has no camera; make one active or name one with --camera")
        pose = rigid(seen_by.matrix_world, mesh and mesh.matrix_world)
        width, height, intrinsics = lens(scene.render, seen_by.data, seen_by.name)
        frames.append({"width": width, "height": height, "intrinsics": intrinsics, "cam_to_world": pose})
    fps = scene.render.fps / scene.render.fps_base / step
    return {"axes": "opencv", "pixel_origin": "center", "fps": fps, "frames": frames}


def lens(render, camera, name):
    """Width, height and intrinsics (centre-origin) of the rendered picture.

    The fitted side of the picture, in units of a pixel's width, sees `sensor` millimetres at `lens` millimetres; AUTO
    fits the longer side and always takes the sensor's width. Shifts are in fitted sides: to the right and up moves the
    principal point to the left and down.
    """
    if camera.type != "PERSP":
        raise SystemExit(f"error: camera '{name}' is of type {camera.type}; only PERSP can be exported")
    width = int(render.resolution_x * render.resolution_percentage / 100)
    height = int(render.resolution_y * render.resolution_percentage / 100)
    tall = render.pixel_aspect_y / render.pixel_aspect_x  # height of a pixel in widths of one
    fit = camera.sensor_fit
    if fit == "AUTO":
        fit = "HORIZONTAL" if width >= height * tall else "VERTICAL"
    fitted = width if fit == "HORIZONTAL" else height * tall
    sensor = camera.sensor_height if camera.sensor_fit == "VERTICAL" else camera.sensor_width
    focal = camera.lens / sensor * fitted
    center_x = width / 2 - camera.shift_x * fitted - 0.5
    center_y = height / 2 + camera.shift_y * fitted / tall - 0.5
    return width, height, [[focal, 0.0, center_x], [0.0, focal / tall, center_y], [0.0, 0.0, 1.0]]


def rigid(camera, mesh):
    """cam_to_world with OpenCV axes, in the mesh's own coordinates if `mesh` (its matrix_world) is given.

    Blender's camera has x right, y up, z backward: columns 1 and 2 change sign. The camera's scale, which does not
    change its picture, and the mesh's are divided out of the columns.
    """
    pose = np.array(camera, dtype=np.float64)
    if mesh is not None:
        matrix = np.array(mesh, dtype=np.float64)
        scaled = matrix[:3, :3].T @ matrix[:3, :3]
        if not (np.linalg.det(matrix) > 0 and np.allclose(scaled, scaled[0, 0] * np.eye(3), atol=1e-4 * scaled[0, 0])):
            raise SystemExit("error: the mesh is mirrored, sheared or scaled unevenly; give it one positive scale")
        pose = np.linalg.inv(matrix) @ pose
    lengths = np.linalg.norm(pose[:3, :3], axis=0)
    axes = pose[:3, :3] / np.where(lengths > 0, lengths, 1)
    if not np.allclose(axes.T @ axes, np.eye(3), atol=1e-4) or np.linalg.det(axes) < 0:
        raise SystemExit("error: the camera is mirrored, sheared or scaled to nothing; set its scale to 1")
    pose[:3, :3] = axes * [1, -1, -1]
    return pose.tolist()


def named(objects, name):
    """The object of a name, or None for None."""
    if name is None:
        return None
    found = objects.get(name)
    if found is None:
        raise SystemExit(
            f"error: the scene has no object '{name}'; it has {', '.join(sorted(o.name for o in objects))}"
        )
    return found


if __name__ == "__main__":
    main(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:])
