"""The network of GeFu, one box of the paper's overview figure per module; `network.py` joins them."""
