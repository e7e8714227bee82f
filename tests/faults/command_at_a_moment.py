"""`python -m faults.command_at_a_moment COMMAND …`: a command of ours that kills or freezes itself
at a named moment, or runs with guards taken out. Only for tests: nothing of it is in the product.

``FAULT_AT`` names the moment, ``FAULT_NTH`` which of them it is (from 1), ``FAULT_DOES`` what is
done then: ``kill`` or ``freeze``. ``FAULT_WITHOUT`` names guards of `faults.guards`.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

MOMENTS = {
    "fenced": "the owner before is fenced, nothing is restored yet",
    "restoring": "a record of a changelog was just restored",
    "rebalancing": "partitions were just assigned",
    "giving-up": "a partition has just gone to somebody else",
    "before": "a batch is worked off, its transaction not begun",
    "sending": "a batch's decisions are delivered, its changelog is not",
    "sent": "all of a batch is delivered, its transaction not committed",
    "committed": "a batch is committed, memory does not have it",
    "writing": "a sink has gathered a batch, its store does not have it",
    "written": "a store has a batch, the sink has not committed it",
}
"""By name: what has just happened."""

_SIGNALS = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP}


class Moment:
    """Counts how often the chosen moment came, and does what is to be done."""

    def __init__(self, at: str, nth: int, does: str) -> None:
        self._at, self._left, self._signal = at, nth, _SIGNALS[does]

    def is_now(self, moment: str) -> bool:
        """Whether this is the one; says so once."""
        if moment == self._at:
            self._left -= 1
            return self._left == 0
        return False

    def act(self) -> None:
        os.kill(os.getpid(), self._signal)

    def came(self, moment: str) -> None:
        if self.is_now(moment):
            self.act()


def watch_worker(moment: Moment) -> None:
    """Puts the moment's hooks around what takes partitions over and works their batches off."""
    from agents import partition_owner, topics  # noqa: PLC0415
    from agents.learner import LearnerAgent  # noqa: PLC0415
    from agents.transactions import PartitionProducer  # noqa: PLC0415

    watch_transactions(moment)
    _around(LearnerAgent, "_take_over", moment, before="rebalancing")
    _around(LearnerAgent, "_give_up", moment, after="giving-up")

    send_to = PartitionProducer._send_to

    async def sending(self: Any, topic: str, *rest: Any) -> list[asyncio.Future[object]]:
        deliveries = await send_to(self, topic, *rest)
        if topic == topics.DECISIONS and moment.is_now("sending"):
            await asyncio.gather(*deliveries)
            moment.act()
        return deliveries

    PartitionProducer._send_to = sending  # type: ignore[method-assign]

    restore = partition_owner.restore

    async def restoring(kafka: Any, names: Any, partition: int, apply: Any, *reached: Any) -> int:
        def applied(*record: Any) -> None:
            apply(*record)
            moment.came("restoring")

        return await restore(kafka, names, partition, applied, *reached)

    partition_owner.restore = restoring


def watch_transactions(moment: Moment) -> None:
    """The same around a partition's transactions, the worker's and the facilitator's."""
    from aiokafka import AIOKafkaProducer  # noqa: PLC0415

    from agents.transactions import PartitionProducer  # noqa: PLC0415

    _around(PartitionProducer, "start", moment, after="fenced")
    _around(PartitionProducer, "commit", moment, before="before", after="committed")

    start = PartitionProducer.start

    async def started(self: Any) -> None:
        for producer in vars(self).values():
            if isinstance(producer, AIOKafkaProducer):
                _around(producer, "commit_transaction", moment, before="sent")
        await start(self)

    PartitionProducer.start = started  # type: ignore[method-assign]


def watch_trainer(moment: Moment) -> None:
    """The same around a trainer's start and its snapshots."""
    from agents.trainer_log import TrainerLog  # noqa: PLC0415

    _around(TrainerLog, "fence", moment, after="fenced")
    _around(TrainerLog, "write", moment, before="before", after="committed")

    commit = TrainerLog._commit

    async def committing(self: Any, *what: Any) -> int | None:
        if "commit_transaction" not in vars(self._producer):
            _around(self._producer, "commit_transaction", moment, before="sent")
        return await commit(self, *what)

    TrainerLog._commit = committing  # type: ignore[method-assign]


def watch_sink(moment: Moment) -> None:
    """The same around a sink's write."""
    from agents.sink import SinkAgent  # noqa: PLC0415

    _around(SinkAgent, "_write", moment, before="writing", after="written")


_WATCHED = {
    "worker": watch_worker,
    "facilitator": watch_transactions,
    "dlq": watch_transactions,
    "trainer": watch_trainer,
    "sink": watch_sink,
}
"""By command; each imports only what its command does."""


def _around(owner: object, name: str, moment: Moment, before: str = "", after: str = "") -> None:
    method: Callable[..., Awaitable[object]] = getattr(owner, name)

    @functools.wraps(method)
    async def watched(*args: Any, **kwargs: Any) -> object:
        moment.came(before)
        result = await method(*args, **kwargs)
        moment.came(after)
        return result

    setattr(owner, name, watched)


def variables(at: str, nth: int, does: str) -> dict[str, str]:
    """The environment that asks for it."""
    assert at in MOMENTS, f"{at}: no moment; there are {', '.join(MOMENTS)}"
    assert does in _SIGNALS, f"{does}: neither kill nor freeze"
    return {"FAULT_AT": at, "FAULT_NTH": str(nth), "FAULT_DOES": does}


def without(guards: Iterable[str]) -> dict[str, str]:
    """The environment that takes guards out."""
    return {"FAULT_WITHOUT": ",".join(guards)}


def main() -> None:
    from cli.main import app  # noqa: PLC0415
    from faults.guards import GUARDS  # noqa: PLC0415

    if at := os.environ.get("FAULT_AT"):
        moment = Moment(at, int(os.environ["FAULT_NTH"]), os.environ["FAULT_DOES"])
        _WATCHED[sys.argv[1]](moment)
    # After the hooks, so that what is done too early is done before they are reached.
    for guard in filter(None, os.environ.get("FAULT_WITHOUT", "").split(",")):
        GUARDS[guard].take_out()
    app()


if __name__ == "__main__":
    main()
