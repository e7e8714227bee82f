"""Python's full garbage collections, kept out of the way of events.

A full collection looks at every object there is: some 100 ms for what a worker has imported alone,
and more with each learner that it knows, at moments that nobody chooses.
"""

from __future__ import annotations

import gc

_THRESHOLDS = (2_000, 10, 1_000_000)
"""The third says after how many collections of the middle generation a full one comes: never. What
a batch leaves behind, cycles too, is young and goes with the two smaller ones."""


def collect_now_and_not_later() -> None:
    """Collects everything once, and has what is left looked at no more.

    For moments at which nothing is read: a process has started, or been given partitions.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
