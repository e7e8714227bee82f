"""What became of each row of OULAD's files."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

THINGS_TOLD = {"studentInfo.csv": 2, "studentRegistration.csv": 2}
"""What a row tells, if not one thing: background and result, enrolment and leaving."""


@dataclass
class OuladAccount:
    """What became of each row: rows by file, events by type, reasons for none.

    ``days_assumed``: events by type of which the data did not tell the day.
    """

    rows: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    without_event: Counter[str] = field(default_factory=Counter)
    days_assumed: Counter[str] = field(default_factory=Counter)

    @property
    def unaccounted(self) -> int:
        """Things told by the rows less events and reasons for none; 0 at the end."""
        told = sum(count * THINGS_TOLD.get(file, 1) for file, count in self.rows.items())
        return told - self.events.total() - self.without_event.total()
