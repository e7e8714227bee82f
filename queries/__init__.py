"""The read side: what people ask, one file for each store that answers."""
