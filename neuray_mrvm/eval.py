"""Score pictures that `render.py` wrote against the photographs.

    python neuray_mrvm/eval.py --dir_gt data/render_test/DATABASE/gt --dir_pr data/render_test/DATABASE/NAME-STEP-eval

Reads what was rendered without loss and prints what `render.py` printed. Folders that hold JPEG files only, such as
those of other programs, are scored too, with a warning.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from common.entry_point import run_command
from common.metrics.protocols import PROTOCOLS, ImageScores
from common.reporting import configure_logging
from neuray_mrvm.picture_files import read_rendered, read_truth, rendered_indices
from neuray_mrvm.picture_scores import PROTOCOL, Scorer, score_lines

_LOGGER = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line `arguments`, by default the process's own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir_gt", type=Path, default=Path("data/gt"), help="photographs, <index>.jpg")
    parser.add_argument("--dir_pr", type=Path, default=Path("data/pr"), help="renderings, <index>-nr_fine.jpg")
    parser.add_argument("--protocol", choices=tuple(PROTOCOLS), default=PROTOCOL, help="definition of the metrics")
    args = parser.parse_args(arguments)
    configure_logging()
    indices = rendered_indices(args.dir_pr)
    scorer = Scorer(args.protocol)
    scores = score_folders(args.dir_gt, args.dir_pr, indices, scorer)
    print("\n".join(score_lines(scores)))
    print(scorer.protocol.describe())


def score_folders(dir_gt: Path, dir_pr: Path, indices: Sequence[int], scorer: Scorer) -> dict[int, ImageScores]:
    """Scores of the views of these indices.

    Raises:
        FileNotFoundError: A picture is missing.
        ValueError: A picture is damaged, or its size is not the photograph's.
    """
    scores, lossy = {}, 0
    for index in tqdm(indices, desc="scores", unit="view", disable=None):
        prediction, is_exact = read_rendered(dir_pr, index)
        truth, is_exact_truth = read_truth(dir_gt, index)
        lossy += not (is_exact and is_exact_truth)
        scores[index] = scorer.score(prediction, truth, f"view {index} of {dir_pr} and {dir_gt}")
    if lossy:
        _LOGGER.warning("%d of %d views were scored from JPEG files, which lose detail", lossy, len(indices))
    return scores


if __name__ == "__main__":
    run_command(main)
