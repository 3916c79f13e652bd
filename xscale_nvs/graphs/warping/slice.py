"""Cut the cached rays into blocks of random rays, which training reads one after the other.

python xscale_nvs/graphs/warping/slice.py [--params FILE] [KEY VALUE ...]
"""

from collections.abc import Sequence

from common.entry_point import run_command
from common.reporting import configure_logging
from xscale_nvs.parameters import parse_params
from xscale_nvs.ray_slicing import slice_rays


def main(arguments: Sequence[str] | None = None) -> None:
    """Slice the rays of the scene that the settings name."""
    configure_logging()
    slice_rays(parse_params(arguments, __doc__.splitlines()[0]))


if __name__ == "__main__":
    run_command(main)
