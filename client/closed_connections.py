"""A connection that uvloop has closed already is a lost one, for every client of the process.

uvloop says so by a ``RuntimeError``, aiokafka expects an ``OSError``: its task that keeps the
metadata dies of the other, and whoever waits for metadata waits for ever.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError


def _lost_if_closed(write: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(write)
    def written(self: AIOKafkaConnection, *request: Any, **options: Any) -> Any:
        try:
            return write(self, *request, **options)
        except RuntimeError as error:
            if self._writer is None or not self._writer.transport.is_closing():
                raise
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(str(error)) from error

    return written


AIOKafkaConnection.send = _lost_if_closed(AIOKafkaConnection.send)
AIOKafkaConnection._send_sasl_token = _lost_if_closed(AIOKafkaConnection._send_sasl_token)
