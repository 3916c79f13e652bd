"""The paper's commands for training and rendering."""
