"""Small steps that the methods' training loops share."""

import math
from collections.abc import Mapping


def check_finite(scalars: Mapping[str, float], where: str, rates: str) -> None:
    """Refuse to go on once the loss is no number.

    Args:
        scalars: `loss`, and the terms it is made of.
        where: The place in the run, such as "step 7".
        rates: The setting that holds the learning rates.

    Raises:
        RuntimeError: It is none.
    """
    if not math.isfinite(scalars["loss"]):
        wrong = [name for name, value in scalars.items() if not math.isfinite(value) and name not in ("loss", "psnr")]
        raise RuntimeError(
            f"the loss became {scalars['loss']} at {where} (through {', '.join(wrong) or 'the parameters'}); lower"
            f" {rates} and start again from the last checkpoint"
        )
