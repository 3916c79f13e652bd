"""The paper's parameter file."""
