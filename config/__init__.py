"""Settings and the hand-written version 0 of each tree."""
