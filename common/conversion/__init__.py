"""From one layout on disk to another: what the programs in `tools` do, as functions."""
