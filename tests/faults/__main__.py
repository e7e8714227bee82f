"""`make faults`: faults in rounds on real servers, everything compared with a replay of the log.

    make faults ARGS="--rounds 20 --seed 7 --fault worker-killed"

Ends with one JSON line: rounds, events, lost, doubled, different, and the same per fault. Exit code
0 only if nothing is lost, doubled or different.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections import Counter

from faults.catalogue import FAULTS
from faults.fault import Outcome, runs
from servers.kafka import start_kafka

_FOUND = ("lost", "doubled", "different")


def main() -> None:
    args = _arguments()
    if args.list:
        for fault in FAULTS.values():
            print(f"{fault.name:26} {fault.asked:4}  {fault.about}")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # servers end with us
    began, by_fault = time.monotonic(), {}
    kafka = start_kafka()
    try:
        for name in args.fault or FAULTS:
            rounds = args.rounds or FAULTS[name].asked
            by_fault[name] = _Sum(args.seed)
            for outcome in runs(FAULTS[name], kafka, rounds, args.seed, _tell):
                by_fault[name].add(outcome)
    finally:
        kafka.stop()
    total: Counter[str] = Counter()
    for summed in by_fault.values():
        total.update({key: summed.figures[key] for key in ("rounds", "events", *_FOUND)})
    seconds = round(time.monotonic() - began)
    print(
        json.dumps(
            {key: total[key] for key in ("rounds", "events", *_FOUND)}
            | {"seconds": seconds, "faults": {name: s.figures for name, s in by_fault.items()}}
        )
    )
    raise SystemExit(any(total[kind] for kind in _FOUND))


_LARGEST = ("slowest_stop", "longest_pause")
"""Notes of which the largest counts, not the sum."""


class _Sum:
    """One fault's figures so far."""

    def __init__(self, seed: int) -> None:
        self.figures: dict[str, float] = dict.fromkeys(("rounds", "events", *_FOUND, "seconds"), 0)
        self.figures["seed"] = self._seed = seed

    def add(self, outcome: Outcome) -> None:
        compared = outcome.compared
        found = {kind: len(getattr(compared, kind)) for kind in _FOUND}
        for key, more in {
            "rounds": outcome.rounds,
            "events": compared.events,
            "seconds": round(outcome.seconds),
            **found,
        }.items():
            self.figures[key] += more
        _tell(f"seed {self._seed}: {outcome.rounds} rounds, {compared.events} events, {found}")
        _tell(f"  {outcome.notes}")
        if any(found.values()):
            _tell(compared.told())
        self._seed += 1
        for name, value in outcome.notes.items():
            kept = self.figures.get(name, 0)
            self.figures[name] = max(kept, value) if name in _LARGEST else kept + value


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--rounds", type=int, help="of each fault; as many as are asked, if not given"
    )
    parser.add_argument(
        "--seed", type=int, default=7, help="of the first run; the next has the next"
    )
    parser.add_argument("--fault", action="append", choices=FAULTS, help="may be repeated; all")
    parser.add_argument("--list", action="store_true", help="names, rounds asked, what is done")
    return parser.parse_args()


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
