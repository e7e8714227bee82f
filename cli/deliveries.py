"""`learner deliveries`: what the facilitator delivers, as a query-strategy service sees it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Annotated, Any

import typer

from cli.json_lines import write_json
from cli.options import Kafka, settings_with_kafka
from cli.running import run_until_stopped
from config.settings import KafkaSettings


def deliveries(
    ctx: typer.Context,
    kafka: Kafka = None,
    ack: Annotated[
        bool, typer.Option("--ack", help="Acknowledge each, in the consumer group --group.")
    ] = False,
    group: Annotated[
        str, typer.Option(help="Consumer group, and who acknowledges; with --ack.")
    ] = "learner-deliveries",
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Not only from now on; without --ack.")
    ] = False,
) -> None:
    """Prints each delivery as a JSON line, until Ctrl-C; only looks, unless --ack is given.

    With --ack it stands in for the query-strategy service: it prints each decision once, and goes
    on where the group was.
    """
    if ack and from_beginning:
        raise typer.BadParameter(
            "with --ack it goes on where the group was", param_hint="--from-beginning"
        )
    settings = settings_with_kafka(ctx, kafka__bootstrap_servers=kafka)
    work = _acknowledge(settings.kafka, group) if ack else _look(settings.kafka, from_beginning)
    if run_until_stopped(lambda stop: _reader_left(work, stop)):
        raise BrokenPipeError


async def _look(kafka: KafkaSettings, from_beginning: bool) -> None:
    from pydantic import ValidationError  # noqa: PLC0415

    from agents.kafka_client import committed_reader  # noqa: PLC0415
    from agents.topic_reader import partitions_of  # noqa: PLC0415
    from agents.topics import DELIVERIES  # noqa: PLC0415
    from schemas.delivery import delivery_adapter  # noqa: PLC0415

    consumer = committed_reader(kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = await partitions_of(consumer, DELIVERIES)
        consumer.assign(partitions)
        where = consumer.beginning_offsets if from_beginning else consumer.end_offsets
        for tp, offset in (await where(partitions)).items():
            consumer.seek(tp, offset)
        async for record in consumer:
            try:
                delivery = delivery_adapter.validate_json(record.value or b"", extra="ignore")
            except ValidationError:
                place = f"partition {record.partition}, offset {record.offset}"
                typer.echo(f"{DELIVERIES}, {place}: no delivery, passed over", err=True)
            else:
                _write(delivery)
    finally:
        await consumer.stop()


async def _acknowledge(kafka: KafkaSettings, group: str) -> None:
    from agents.kafka_client import connection  # noqa: PLC0415
    from client.decisions import DeliveredDecisions  # noqa: PLC0415

    async with DeliveredDecisions(**connection(kafka), group_id=group) as decisions:
        async for decision in decisions:
            _write(decision.delivery)
            await decision.ack()


def _write(delivery: object) -> None:
    write_json(delivery)
    sys.stdout.flush()


async def _reader_left(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Works until ``stop``, or until whoever reads what is printed has gone (true)."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    working.cancel()
    try:
        await working
    except asyncio.CancelledError:
        return False
    except BrokenPipeError:
        return True
    return False
