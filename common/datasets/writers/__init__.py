"""Writers of dataset folders: each stores a `RenderedScene` in one true layout, so that its reader can be tested."""
