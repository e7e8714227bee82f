"""Other systems' records as events of ours, as JSON lines in time order. One file per system."""
