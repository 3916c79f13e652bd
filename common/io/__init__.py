"""File formats, one module each: `read_` and `write_` functions that know nothing about datasets."""
