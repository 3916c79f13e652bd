"""Adam for one huge parameter of which a step reads little: a step costs what it touches.

The result is that of `torch.optim.Adam` on the dense gradient, up to float32 rounding. There an entry once touched
keeps moving by its momentum in every later step; here these moves are made up for, one by one, when it is next read:

    after a gradient at step t0, the entry moves at the steps t = t0 + j without one by
    - lr_t / (1 - b1^t) * b1^j m / (sqrt(b2^j v / (1 - b2^t)) + eps)

with m and v as they were at t0. Moves after j = 199 (for b1 = 0.9) are left out: together they are below 2^-24 lr.

How gradients travel: `common.block_gradient`. Entries lie in blocks of 8 numbers that are read, updated and dated
together. Memory for P numbers: 4 P bytes each for parameter, gradient, m and v, as with dense Adam, P for two dates per
block, P/4 for flags.

The parameter is up to date only where it was read. Before all of it is looked at (saved, evaluated, exported), call
`catch_up()`; calling it or not, at any time, changes no bit of the training.

On a GPU the same updates are dense: there a sweep over a gigabyte takes milliseconds.
"""

from common.sparse_adam.optimizer import SparseAdam

__all__ = ["SparseAdam"]
