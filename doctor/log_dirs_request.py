"""How large partitions are and how full the disks: a request that aiokafka does not have."""

from __future__ import annotations

# aiokafka has no types: hence "type: ignore". Names are as it has its own.
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
)

from agents.flexible_schema import Flexible

_text = CompactString("utf-8")


class LogDirsResponse_v4(Response):  # type: ignore[misc]
    API_KEY = 35
    API_VERSION = 4
    SCHEMA = Flexible(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "results",
            CompactArray(
                Flexible(
                    ("error_code", Int16),
                    ("log_dir", _text),
                    (
                        "topics",
                        CompactArray(
                            Flexible(
                                ("name", _text),
                                (
                                    "partitions",
                                    CompactArray(
                                        Flexible(
                                            ("partition_index", Int32),
                                            ("partition_size", Int64),
                                            ("offset_lag", Int64),
                                            ("is_future_key", Boolean),
                                        )
                                    ),
                                ),
                            )
                        ),
                    ),
                    ("total_bytes", Int64),
                    ("usable_bytes", Int64),
                )
            ),
        ),
    )


class LogDirsRequest_v4(RequestStruct):  # type: ignore[misc]
    API_KEY = 35
    API_VERSION = 4
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = LogDirsResponse_v4
    SCHEMA = Flexible(
        (
            "topics",
            CompactArray(Flexible(("topic", _text), ("partitions", CompactArray(Int32)))),
        ),
    )


class LogDirsRequest(Request[LogDirsRequest_v4]):  # type: ignore[misc]
    """DescribeLogDirs (35): how large each partition is on a broker, and how full its disks are."""

    API_KEY = 35

    def build(self, request_struct_class: type[LogDirsRequest_v4]) -> LogDirsRequest_v4:
        return request_struct_class(None)
