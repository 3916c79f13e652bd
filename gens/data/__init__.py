"""From posed photographs to the items that GenS trains and is tested on."""
