"""The networks of XScale-NVS."""
