"""Ray caching: `warp.sh` runs `giga_warping.py`, then `slice.py`."""
