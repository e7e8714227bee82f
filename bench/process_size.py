"""What a process has taken of the machine, as Linux counts it."""

from __future__ import annotations

import os
import re
from pathlib import Path


def resident_kb(pid: int) -> int:
    """Its memory that is in RAM (RSS); 0 once it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) if found else 0


def cpu_seconds(pid: int | None) -> float:
    """Of processor time, all its threads together; 0 where it is not known or has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
