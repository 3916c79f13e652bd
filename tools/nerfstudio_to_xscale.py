"""Turn a nerfstudio capture and a mesh into a scene that XScale-NVS trains on. nerfstudio itself is not needed.

    python tools/nerfstudio_to_xscale.py --capture my_capture --mesh my_capture/mesh.ply --output datasets/my_scene
    python tools/nerfstudio_to_xscale.py --capture my_capture --mesh exports/poisson.ply --mesh_world trained \
        --dataparser_transforms outputs/my_capture/nerfacto/RUN/dataparser_transforms.json --output datasets/my_scene

Writes `images_<d>` and `cams_<d>` with the lenses undone, the mesh, and `nerfstudio.json`. The scene lives in the
mesh's world: that of the reconstruction ("original": a mesh made by COLMAP or Metashape), of transforms.json ("file")
or of the network ("trained": a mesh that `ns-export` made). The last one needs dataparser_transforms.json of the
training run; give it in any case if camera paths of nerfstudio's viewer are to be rendered, they live there:

    python xscale_nvs/agents/navigate.py --path camera_path.json --nerfstudio datasets/my_scene/nerfstudio.json ...

`nerfstudio.json` is the similarity that brings those paths into the scene: common/datasets/nerfstudio_worlds.py.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from common.conversion.nerfstudio_scene import convert_nerfstudio_capture
from common.datasets.nerfstudio_worlds import World
from common.entry_point import run_command


def main(arguments: Sequence[str] | None = None) -> None:
    """Convert what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--capture", type=Path, required=True, help="folder of transforms.json, or the file")
    parser.add_argument("--mesh", type=Path, required=True, help="any format that trimesh reads")
    parser.add_argument("--mesh_world", choices=get_args(World), default="original", help="where the mesh lives")
    parser.add_argument("--dataparser_transforms", type=Path, help="of the training run; see above")
    parser.add_argument("--output", type=Path, required=True, help="scene folder to write")
    parser.add_argument("--dsp_factor", type=int, default=1, help="reduces the pictures by this factor")
    options = parser.parse_args(arguments)
    names = convert_nerfstudio_capture(
        options.capture,
        options.mesh,
        options.output,
        mesh_world=options.mesh_world,
        dataparser=options.dataparser_transforms,
        dsp_factor=options.dsp_factor,
    )
    print(f"{len(names)} views and the mesh {options.mesh.name} are in {options.output}")


if __name__ == "__main__":
    run_command(main)
