"""From scenes on disk to items of source views and a target."""
