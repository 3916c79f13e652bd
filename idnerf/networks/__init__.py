"""ID-NeRF's networks; their children carry the names of the released weights."""
