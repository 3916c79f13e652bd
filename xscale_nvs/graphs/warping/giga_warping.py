"""Cache the rays of the training views: what every pixel sees of the mesh, and its colour.

    python xscale_nvs/graphs/warping/giga_warping.py [--params FILE] [KEY VALUE ...]

Started again, it verifies and keeps the views that are cached, and goes on with the others.
"""

from collections.abc import Sequence

from common.entry_point import run_command
from common.reporting import configure_logging
from xscale_nvs.parameters import parse_params
from xscale_nvs.ray_caching import cache_rays


def main(arguments: Sequence[str] | None = None) -> None:
    """Cache the rays of the scene that the settings name."""
    configure_logging()
    cache_rays(parse_params(arguments, __doc__.splitlines()[0]))


if __name__ == "__main__":
    run_command(main)
