#!/bin/bash
# Cache the rays of the training views, then cut them into blocks. Arguments go to both programs:
#   bash graphs/warping/warp.sh --params FILE KEY VALUE ...
set -e
here="$(dirname "${BASH_SOURCE[0]}")"
python -u "$here/giga_warping.py" "$@"
# python -u "$here/warping.py" "$@"
python -u "$here/slice.py" "$@"
