"""Cache the rays of the training views, as `giga_warping.py` does.

    python xscale_nvs/graphs/warping/warping.py [--params FILE] [KEY VALUE ...]

The paper has two programs: this one holds all photographs in memory, the other one at a time. Here both take one at a
time per worker; they write the same cache.
"""

from common.entry_point import run_command
from xscale_nvs.graphs.warping.giga_warping import main

if __name__ == "__main__":
    run_command(main)
