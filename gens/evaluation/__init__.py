"""Scoring reconstructed DTU scans: `clean_meshes.py`, then `dtu_eval.py`."""
