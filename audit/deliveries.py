"""Deliveries: what stands on ``facilitator.log``, against the decisions and against the stores.

When something is delivered, answered for or given up no replay can foretell. So the stores are
compared with the log as it is, record by record, and the log itself with the decisions: each was
delivered, as it was decided, attempt by attempt, and nothing else was.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from agents.sink_records import made_record
from audit.kafka_log import KafkaLog, Offsets
from audit.rows import Row, plain
from schemas.errors import InvalidRecord
from schemas.topics import DECISIONS, DELIVERY_LOG
from sinks.contract import SinkRecord
from streams.derived_id import derived_id
from streams.trace import trace_id_of

_FROM_DECISION = {
    "user_id": "user_id",
    "course_id": "course_id",
    "decision_tree_id": "tree_id",
    "decision_version": "decision_version",
    "strategy_label": "decision_label",
    "previous_label": "previous_label",
    "llm_prompt_summary": "llm_prompt_output",
    "prompt_version": "prompt_version",
    "traceparent": "traceparent",
    "event_id": "event_id",
    "event_type": "event_type",
    "event_source": "event_source",
    "event_at": "timestamp",
}
"""What a delivery says, and where the decision says the same."""

_CONTENT = ("delivery_id", "trace_id", *_FROM_DECISION)


@dataclass(frozen=True)
class Followed:
    """A delivery as far as the log tells: what it says, how far it is, and what is wrong with it.

    ``fault``: the first thing that cannot be, "" without one.
    """

    content: dict[str, Any]
    attempt: int
    status: str
    fault: str


def followed(before: Followed | None, told: Mapping[str, Any]) -> Followed:
    """After one more record of the same decision.

    Attempts are numbered from 1, each is ``pending`` first, and gets one other status; only what
    was never sent is ``superseded`` at once. After a ``timeout`` there may be another attempt,
    after anything else there is nothing more.
    """
    attempt, status = told["attempt"], told["response_status"]
    content = {name: told[name] for name in _CONTENT}
    content["event_at"] = _same(content["event_at"])
    if before is None:
        may_begin = attempt == 1 and status in {"pending", "superseded"}
        wrong = "" if may_begin else f"begins with {attempt} {status}"
        return Followed(content, attempt, status, wrong)
    if status == "pending":
        may_follow = (before.attempt + 1, before.status) == (attempt, "timeout")
    else:
        may_follow = (before.attempt, before.status) == (attempt, "pending")
    fault = before.fault
    if not fault and not may_follow:
        fault = f"{attempt} {status} after {before.attempt} {before.status}"
    if not fault and content != before.content:
        other = sorted(name for name in _CONTENT if content[name] != before.content[name])
        fault = f"{attempt} {status} says otherwise: {', '.join(other)}"
    return replace(before, attempt=attempt, status=status, fault=fault)


class FacilitatorAudit:
    """The log as if it were a store: a row for each decision that was delivered.

    ``fault`` in a row is of its course: "3 pending after 1 timeout" (attempts and statuses).
    """

    name = "facilitator"
    topics: tuple[str, ...] = (DECISIONS,)
    tables: tuple[str, ...] = ("deliveries",)

    def __init__(self, log: KafkaLog) -> None:
        self._log = log

    def expected(self, record: SinkRecord) -> Iterator[Row]:
        decision: Any = record.value
        told = {name: decision[path] for name, path in _FROM_DECISION.items()}
        told |= {
            "delivery_id": derived_id(decision["decision_id"], "delivery"),
            "trace_id": trace_id_of(decision["traceparent"]),
            "event_at": _same(decision["timestamp"]),
        }
        yield Row("deliveries", decision["decision_id"], {**told, "fault": ""})

    async def stored(self) -> AsyncIterator[Row]:
        """Partition by partition, in which all of a decision stands."""
        for tp, end in sorted((await self._log.ends([DELIVERY_LOG])).items()):
            deliveries: dict[str, Followed] = {}
            async for record in delivery_records(self._log, {tp: end}):
                told: Any = record.value
                id_ = told["decision_id"]
                deliveries[id_] = followed(deliveries.get(id_), told)
            for id_, found in deliveries.items():
                yield Row("deliveries", id_, {**found.content, "fault": found.fault})


async def delivery_records(log: KafkaLog, ends: Offsets) -> AsyncIterator[SinkRecord]:
    """What sinks are given of ``facilitator.log``; what is no delivery they leave out, too."""
    for tp, end in sorted(ends.items()):
        async for records in log.records(tp, end):
            for record in records:
                try:
                    yield made_record(
                        DELIVERY_LOG, tp.partition, record.offset, record.key, record.value
                    )
                except InvalidRecord:
                    continue


def _same(time: str) -> Any:
    """An instant, spelled one way."""
    return plain(datetime.fromisoformat(time))
