"""Readers of dataset folders, one module a layout: each is a function from a folder to a `Scene`."""
