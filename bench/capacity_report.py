"""What two loads need, from the measured costs: the tables and pictures of `docs/capacity.md`.

    PYTHONPATH=.:tests python -m bench.capacity_report          # prints the tables
    PYTHONPATH=.:tests python -m bench.capacity_report --page   # puts them into the page, and draws

Seconds, and no broker: costs come from ``bench/measured_costs.json``. Change a figure there after a
new measurement, with where it comes from, and write the page again.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from bench.capacity import NATIONAL, core_events_per_s, sizing
from bench.capacity_pictures import draw
from bench.capacity_tables import tables
from bench.measured_costs import measured_costs

_DOCS = Path(__file__).parents[1] / "docs"
PAGE = _DOCS / "capacity.md"
_PLACE = re.compile(r"<!-- table: (\w+) -->\n.*?<!-- end -->\n", re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.capacity_report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--page", action="store_true", help="write docs/capacity.md and draw")
    made = tables(measured_costs())
    if not parser.parse_args().page:
        sys.stdout.write("\n".join(f"{name}\n\n{table}" for name, table in made.items()))
        return
    PAGE.write_text(with_tables(PAGE.read_text(), made))
    draw(measured_costs().with_state_on_disk(), _DOCS / "pictures")


def with_tables(page: str, made: dict[str, str]) -> str:
    """The page with each table in its place.

    Raises:
        ValueError: a table has no place in the page, or a place no table.
    """
    places = [found[1] for found in _PLACE.finditer(page)]
    if sorted(places) != sorted(made):
        raise ValueError(f"places {sorted(places)}, tables {sorted(made)}")
    return _PLACE.sub(
        lambda found: f"<!-- table: {found[1]} -->\n\n{made[found[1]]}\n<!-- end -->\n", page
    )


def capacity_figures() -> dict[str, float]:
    """Of ``make bench``'s closing line; the tables go to standard error."""
    costs = measured_costs()
    plan = sizing(costs.with_state_on_disk(), NATIONAL)
    sys.stderr.write("\n".join(tables(costs).values()))
    return {
        "capacity_events_per_s_of_a_core": round(core_events_per_s(costs)),
        "capacity_national_utilisation": round(plan.workers.utilisation, 2),
        "capacity_national_partitions": plan.workers.partitions,
        "capacity_national_workers": plan.workers.processes,
        "capacity_national_brokers": plan.brokers.needed,
    }


if __name__ == "__main__":
    main()
