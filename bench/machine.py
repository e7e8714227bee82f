"""On what machine, with what releases, a report was made."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

from servers.kafka_jars import KAFKA_VERSION

_BENCH_LOCK = Path(__file__).parents[1] / "requirements" / "bench.lock"
_PACKAGES = ("faust-streaming", "aiokafka", "river", "pydantic", "msgspec", "uvloop")


def machine() -> dict[str, object]:
    """``machine``: processor, cores that may be used, memory in GB, and releases by name."""
    return {
        "machine": {
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
            "system": platform.platform(terse=True),
            "python": platform.python_version(),
            "kafka": KAFKA_VERSION,
            **{name: version(name) for name in _PACKAGES},
            **_competitor(),
        }
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _competitor() -> dict[str, str]:
    """Quix Streams stands in a venv of its own."""
    for line in _BENCH_LOCK.read_text().splitlines():
        name, _, rest = line.partition("==")
        if name == "quixstreams":
            return {name: rest.split()[0]}
    return {}
