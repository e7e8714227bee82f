"""Two requests of Kafka's protocol in versions that aiokafka does not have, on its own classes.

As in Kafka's ``clients/src/main/resources/common/message``: Produce 12, EndTxn 5.
"""

from __future__ import annotations

from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import EndTxnRequest
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactBytes,
    CompactString,
    Int16,
    Int32,
    Int64,
)

from agents.flexible_schema import Flexible

_PRODUCE, _END_TXN = 0, 26
_text = CompactString("utf-8")


class _ProduceResponse(Response):  # type: ignore[misc]
    API_KEY = _PRODUCE
    API_VERSION = 12
    SCHEMA = Flexible(
        (
            "topics",
            CompactArray(
                Flexible(
                    ("topic", _text),
                    (
                        "partitions",
                        CompactArray(
                            Flexible(
                                ("partition", Int32),
                                ("error_code", Int16),
                                ("offset", Int64),
                                ("timestamp", Int64),
                                ("log_start_offset", Int64),
                                (
                                    "record_errors",
                                    CompactArray(
                                        Flexible(("batch_index", Int32), ("message", _text))
                                    ),
                                ),
                                ("error_message", _text),
                            )
                        ),
                    ),
                )
            ),
        ),
        ("throttle_time_ms", Int32),
    )


class _ProduceStruct(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = _PRODUCE
    API_VERSION = 12
    RESPONSE_TYPE = _ProduceResponse
    SCHEMA = Flexible(
        ("transactional_id", _text),
        ("required_acks", Int16),
        ("timeout", Int32),
        (
            "topics",
            CompactArray(
                Flexible(
                    ("topic", _text),
                    (
                        "partitions",
                        CompactArray(Flexible(("partition", Int32), ("messages", CompactBytes))),
                    ),
                )
            ),
        ),
    )


class Produce(ProduceRequest):  # type: ignore[misc]  # aiokafka has no types
    def prepare(self, versions: dict[int, tuple[int, int]]) -> RequestStruct:
        return _ProduceStruct(
            self._transactional_id, self._required_acks, self._timeout, self._topics
        )


class _EndTxnResponse(Response):  # type: ignore[misc]
    API_KEY = _END_TXN
    API_VERSION = 5
    SCHEMA = Flexible(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
    )


class _EndTxnStruct(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = _END_TXN
    API_VERSION = 5
    RESPONSE_TYPE = _EndTxnResponse
    SCHEMA = Flexible(
        ("transactional_id", _text),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("transaction_result", Boolean),
    )


class EndTxn(EndTxnRequest):  # type: ignore[misc]
    def prepare(self, versions: dict[int, tuple[int, int]]) -> RequestStruct:
        return _EndTxnStruct(
            self._transactional_id,
            self._producer_id,
            self._producer_epoch,
            self._transaction_result,
        )
