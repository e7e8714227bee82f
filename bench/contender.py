"""One run of one contender, in a process of its own: `python -m bench.contender KIND …`.

Prints one JSON line: events, seconds from the first event folded to the last, CPU seconds of the
process over the same span.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable

from agents.learner import LearnerAgent
from agents.prompt_sets import prompts_in
from bench.per_event_agent import PerEventAgent
from bench.unguarded import all_delivered, take_out_all_guards
from config.seed_trees import seed_trees
from config.settings import KafkaSettings, Settings, WorkerSettings
from streams.rules import Rules
from streams.scoring import compile_tree

_POLL_SECONDS = 0.005


async def run(kind: str, settings: Settings, events: int) -> dict[str, float]:
    """Starts the contender, waits until it has handled ``events``, leaves."""
    trees = {tree_id: compile_tree(document) for tree_id, document in seed_trees().items()}
    partitions = settings.kafka.partitions
    handled: Callable[[], int]
    delivered: Callable[[], Awaitable[object]] | None = None
    if kind == "per_event":
        per_event = PerEventAgent(settings, trees, partitions)
        per_event.app.finalize()
        handled = lambda: per_event.folded  # noqa: E731
        await per_event.app.start()
        delivered = per_event.app.producer.flush  # ours is counted when Kafka has it
    else:
        if kind == "unguarded":
            take_out_all_guards()
            delivered = all_delivered
        decides = Rules(prompts=prompts_in(None))
        agent = LearnerAgent(settings, decides, lambda: trees, _leave, partitions)
        handled = lambda: sum(agent.counts.values())  # noqa: E731
        await agent.start()
    while not (first := handled()):
        await asyncio.sleep(_POLL_SECONDS)
    began, cpu = time.perf_counter(), time.process_time()
    while handled() < events:
        await asyncio.sleep(_POLL_SECONDS)
    if delivered is not None:
        await delivered()
    return {
        "events": handled() - first,
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
    }


def _leave(error: BaseException) -> None:
    sys.stderr.write(f"the worker left: {error!r}\n")
    os._exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("lists", "per_event", "unguarded"))
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--app-id", required=True)
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--core", type=int, help="pin the process to this core")
    args = parser.parse_args()
    if args.core is not None:
        os.sched_setaffinity(0, {args.core})
    settings = Settings(
        _env_file=None,
        kafka=KafkaSettings(bootstrap_servers=args.bootstrap, partitions=args.partitions),
        worker=WorkerSettings(app_id=args.app_id),
    )
    result = asyncio.run(_run_and_leave(args.kind, settings, args.events))
    raise SystemExit(result)


async def _run_and_leave(kind: str, settings: Settings, events: int) -> int:
    result = await run(kind, settings, events)
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
