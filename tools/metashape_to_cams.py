"""Turn Metashape's cameras and the original photographs into a scene of XScale-NVS: undistorted pictures and cameras.

    python tools/metashape_to_cams.py --xml my_scene/cams.xml --dsp_factor 4
    python tools/metashape_to_cams.py --xml my_scene/cams.xml --mesh my_scene/1.obj --local

Writes `images_4` and `cams_4` beside the xml or into --output. Unlike `xscale_nvs/scripts/xml2txt.py`, which follows
the paper, it takes the photographs as they were given to Metashape, the adjusted calibration and all transforms, and
undoes the lens. Use --local where the mesh was exported in local coordinates; --mesh checks that it was.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from common.conversion.metashape_to_xscale import convert_metashape
from common.entry_point import run_command


def main(arguments: Sequence[str] | None = None) -> None:
    """Convert what the command line asks for."""
    options = _parse(arguments)
    names = convert_metashape(
        options.xml,
        options.output,
        options.dsp_factor,
        key=options.key,
        images=options.images,
        chunk=options.chunk,
        local=options.local,
        mesh=options.mesh,
    )
    print(f"{len(names)} views, {names[0]} to {names[-1]}")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--xml", type=Path, required=True, help="cams.xml or cameras.xml, or the folder that has it")
    parser.add_argument("--output", type=Path, help="folder of the scene; that of the xml by default")
    parser.add_argument("--dsp_factor", type=int, default=1, help="reduces the pictures")
    parser.add_argument("--images", help="folder of the photographs beside the xml; 'images' or 'photos' by default")
    parser.add_argument("--chunk", help="label of the chunk; the one with most aligned cameras by default")
    parser.add_argument("--local", action="store_true", help="the mesh is in the chunk's local coordinates")
    parser.add_argument("--mesh", type=Path, help="check that the cameras look at this mesh")
    parser.add_argument("--key", default="", help="put in front of every name")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
