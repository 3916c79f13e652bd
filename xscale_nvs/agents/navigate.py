"""Render a trained scene along a camera path, as pictures and a video.

    python agents/navigate.py --path orbit --frames 240
    python agents/navigate.py --path interpolated --views 0,14,30 --size 7680 4320 --supersample 2
    python agents/navigate.py --path path.json --depth --params my_parameter.py
    python agents/navigate.py --path camera_path.json --nerfstudio outputs/RUN/dataparser_transforms.json
    python agents/navigate.py navigation_focal 2700. navigation_W 1920 navigation_H 1080

--path is one of

    interpolated        through photographs, in the order of --views
    orbit               around the point that the photographs look at
    spiral              in front of their average
    FILE.json           ours (tools/blender_camera_path.py writes it from Blender), nerfstudio's, or poses alone
    FILE.npy            poses alone: [N,4,4] camera-to-world, OpenCV axes; left out, the setting navigation_path

Frames go to {root_file}/point_exp/{modelName}/navigation/{path}/frames, beside them video.mp4 and, with --depth,
depth as .npy. Memory does not grow with the size of a frame beyond its 8-bit picture. The same command continues a
film that was stopped; a film of another path, checkpoint or setting is never mixed in.

--supersample n averages the light of n x n samples per pixel. (The setting ss_ratio averages features before the
network, as in training.) Camera paths of nerfstudio's viewer live in the world that it trained in: --nerfstudio takes
nerfstudio.json, which tools/nerfstudio_to_xscale.py writes into the scene folder and which is found there by itself,
or dataparser_transforms.json of the training run.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

import xscale_nvs
from common.datasets.scene import Scene
from common.entry_point import run_command
from common.path_rendering import DEFAULT_FPS, FilmOptions, render_film
from common.reporting import configure_logging
from xscale_nvs.navigation import Wish, choose_path, film_folder, film_identity, find_checkpoint
from xscale_nvs.parameters import add_parameter_arguments, load_params, require_folders
from xscale_nvs.scene_files import open_scene
from xscale_nvs.tone import to_8_bit


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line `arguments`, by default the process's own."""
    given = _parse(arguments)
    params = load_params(given.params, given.opts)
    require_folders(params, "root_file", "datasetFolder")
    configure_logging()
    scene, checkpoint = open_scene(params), find_checkpoint(params)
    size = tuple(given.size) if given.size else None
    wish = Wish(given.path, given.frames, given.views, size, given.nerfstudio)
    path = choose_path(wish, params, scene)
    renderer = xscale_nvs.renderer(checkpoint, given.params, given.opts, device=str(params.device))
    renderer.prepare(Scene(params.modelName, (), mesh=scene.mesh), ())
    options = FilmOptions(
        supersample=given.supersample,
        depth=given.depth,
        video=not given.no_video,
        fps=given.fps or path.fps or DEFAULT_FPS,
        to_8bit=lambda rgb: to_8_bit(torch.from_numpy(rgb)).numpy(),
    )
    folder = given.output or film_folder(wish, params)
    frames = render_film(renderer, path, folder, film_identity(params, checkpoint, scene.mesh), options)
    print(f"{len(frames)} frames{'' if given.no_video else ' and video.mp4'} are in {folder}")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", help="interpolated, orbit, spiral, FILE.json or FILE.npy; default: navigation_path")
    parser.add_argument("--frames", type=int, default=120, help="length of a named path")
    parser.add_argument(
        "--views", type=_view_ids, metavar="0,14,30", help="photographs of a named path; a range is 0:60:10"
    )
    parser.add_argument("--size", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"), help="keeps the vertical view angle")
    parser.add_argument("--supersample", type=int, default=1, help="samples per pixel and axis")
    parser.add_argument("--fps", type=float, help="of the video; default: the path's, else 24")
    parser.add_argument("--depth", action="store_true", help="store depth as well")
    parser.add_argument("--no_video", action="store_true", help="pictures only")
    parser.add_argument("--nerfstudio", type=Path, help="where nerfstudio's camera paths lie; see above")
    parser.add_argument("--output", type=Path, help="folder to write to")
    add_parameter_arguments(parser)
    return parser.parse_args(arguments)


def _view_ids(text: str) -> list[int]:
    parts = text.replace(",", ":").split(":")
    if not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"expected view numbers like 0,14,30 or a range like 0:60:10, got {text!r}")
    numbers = [int(part) for part in parts]
    return numbers if ":" not in text else list(range(*numbers))


if __name__ == "__main__":
    run_command(main)
