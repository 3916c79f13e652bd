"""From scenes on disk to the batches of the paper."""
