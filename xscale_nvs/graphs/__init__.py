"""The paper's folder of programs that prepare data."""
