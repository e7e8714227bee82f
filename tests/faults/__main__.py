"""`make faults`: faults in rounds on real servers, everything compared with a replay of the log.

    make faults ARGS="--rounds 20 --seed 7 --fault worker-killed"

Ends with one JSON line: rounds, events, lost, doubled, different, failed, and the same per fault.
A run in which a step fails is told with its seed and counted as ``failed``; the next ones go on.
Exit code 0 only if nothing is lost, doubled, different or failed.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time

from faults.catalogue import FAULTS
from faults.fault import runs
from faults.summary import FaultSummary, Summary
from servers.kafka import start_kafka


def main() -> None:
    args = _arguments()
    if args.list:
        for fault in FAULTS.values():
            print(f"{fault.name:26} {fault.asked:4}  {fault.about}")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # servers end with us
    began, summary = time.monotonic(), Summary()
    kafka = start_kafka()
    try:
        for name in args.fault or FAULTS:
            summed = summary.faults[name] = FaultSummary(args.seed, _tell)
            rounds = args.rounds or FAULTS[name].asked
            for run in runs(FAULTS[name], kafka, rounds, args.seed, _tell):
                summed.add(run)
    finally:
        kafka.stop()
        print(summary.line(time.monotonic() - began))  # also of what was interrupted
    raise SystemExit(not summary.exact)


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
