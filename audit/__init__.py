"""Whether every store holds what a replay of the log says that it must."""
