"""The embedded run: a simulated class through worker and trainer, on the embedded broker."""
