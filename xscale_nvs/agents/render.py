"""Render the test views as pictures, and compare them with their photographs.

    python agents/render.py
    python agents/render.py --params my_parameter.py load_checkpoint_dir /path/epoch:00200.pth.tar

Without load_checkpoint_dir the newest checkpoint of checkpoint_dir is rendered.
"""

from collections.abc import Sequence

from common.entry_point import run_command
from common.reporting import configure_logging
from xscale_nvs.parameters import parse_params, require_folders
from xscale_nvs.test_views import format_scores, render_test_views


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line `arguments`, by default the process's own."""
    params = parse_params(arguments, "Render the test views of XScale-NVS")
    require_folders(params, "root_file")
    configure_logging()
    print(format_scores(render_test_views(params)))


if __name__ == "__main__":
    run_command(main)
