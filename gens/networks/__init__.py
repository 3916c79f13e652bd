"""The networks of GenS, under the names of the released checkpoint."""
