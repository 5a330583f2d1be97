"""What image a sandbox runs: its reference by content, building, pulling, the base, the user in it."""
