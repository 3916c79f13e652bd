"""Network blocks that two methods share, with plain arguments."""
