"""Transactions as Kafka 4 has them (KIP-890, ``transaction.version`` 2), which aiokafka has not.

A partition joins a transaction by being written to, not by a request before, and the broker need
not ask the coordinator whether it had joined. The answer to a commit brings the epoch of the next
transaction, so nothing that was on its way can end up in a later one. That spares a batch two of
its five round trips, where a cluster is one broker. Several would each let their partitions join,
and all but the first wait 20 ms or more for it: there, and on an older Kafka, aiokafka's own way is
taken.
"""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.client import CoordinationType
from aiokafka.errors import ConcurrentTransactions, IncompatibleBrokerVersion, InvalidProducerEpoch
from aiokafka.producer.sender import EndTxnHandler, Sender, SendProduceReqHandler
from aiokafka.producer.transaction_manager import PidAndEpoch, TransactionManager

from agents.aiokafka_mends import sit_out_outages
from agents.cluster_features import FeaturesRequest, features_of
from agents.transaction_requests import EndTxn, Produce

_FEATURE, _LEVEL = "transaction.version", 2
_PRODUCER_FENCED = 90
"""What the newer requests answer where the older ones say ``INVALID_PRODUCER_EPOCH``."""


class TransactionalProducer(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's producer, with the newer transactions where they are the quicker ones."""

    _sender: Any

    def __init__(
        self, *, transactional_id: str, transaction_timeout_ms: int, **options: Any
    ) -> None:
        super().__init__(
            transactional_id=transactional_id,
            transaction_timeout_ms=transaction_timeout_ms,
            **options,
        )
        self._txn_manager = _Transaction(transactional_id, transaction_timeout_ms)
        self._message_accumulator._txn_manager = self._txn_manager
        older = self._sender
        self._sender = _Sender(
            self.client,
            acks=older._acks,
            txn_manager=self._txn_manager,
            message_accumulator=self._message_accumulator,
            retry_backoff_ms=1000 * older._retry_backoff,
            request_timeout_ms=self._request_timeout_ms,
        )
        sit_out_outages(self.client)

    async def start(self) -> None:
        await super().start()
        if len(self.client.cluster.brokers()) > 1:
            return
        node_id = self._sender._coordinators[CoordinationType.TRANSACTION]
        try:
            answer = await self.client.send(node_id, FeaturesRequest())
        except (IncompatibleBrokerVersion, NotImplementedError):  # too old to be asked
            return
        # The feature is in force only where the broker knows both requests.
        self._txn_manager.implicit = features_of(answer).get(_FEATURE, 0) >= _LEVEL

    @property
    def implicit(self) -> bool:
        """Whether partitions join a transaction by being written to."""
        return bool(self._txn_manager.implicit)


class _Transaction(TransactionManager):  # type: ignore[misc]
    implicit = False

    def maybe_add_partition_to_txn(self, tp: Any) -> None:
        if not self.implicit:
            super().maybe_add_partition_to_txn(tp)
        else:
            assert self.is_in_transaction()  # noqa: S101  # as aiokafka does
            self._txn_partitions.add(tp)

    def go_on_as(self, producer_id: int, epoch: int) -> None:
        """What the next transaction's records carry; each partition counts them from 0 again."""
        self._pid_and_epoch = PidAndEpoch(producer_id, epoch)
        self._sequence_numbers.clear()


def _as_older_ones_say(error_code: int) -> int:
    fenced: int = InvalidProducerEpoch.errno
    return fenced if error_code == _PRODUCER_FENCED else error_code


class _ProduceHandler(SendProduceReqHandler):  # type: ignore[misc]
    def create_request(self) -> Produce:
        request: Produce = super().create_request()
        request.__class__ = Produce
        return request

    def handle_response(self, response: Any) -> None:
        response.topics = [
            (topic, [(at, _as_older_ones_say(code), *rest) for at, code, *rest in partitions])
            for topic, partitions in response.topics
        ]
        super().handle_response(response)

    def _can_retry(self, error: Exception, batch: Any) -> bool:
        # The transaction before is still being wound up: nothing of this one is written yet.
        return isinstance(error, ConcurrentTransactions) or super()._can_retry(error, batch)


class _EndTxnHandler(EndTxnHandler):  # type: ignore[misc]
    def create_request(self) -> EndTxn:
        request: EndTxn = super().create_request()
        request.__class__ = EndTxn
        return request

    def handle_response(self, response: Any) -> float | None:
        response.error_code = _as_older_ones_say(response.error_code)
        if response.error_code == 0:
            self._sender._txn_manager.go_on_as(response.producer_id, response.producer_epoch)
        backoff: float | None = super().handle_response(response)
        return backoff


class _Sender(Sender):  # type: ignore[misc]
    async def _send_produce_req(self, node_id: int, batches: dict[Any, Any]) -> None:
        if not self._txn_manager.implicit:
            await super()._send_produce_req(node_id, batches)
            return
        await _ProduceHandler(self, batches).do(node_id)
        self._in_flight.remove(node_id)
        self._muted_partitions.difference_update(batches)

    async def _do_txn_commit(self, commit_result: bool) -> None:
        if not self._txn_manager.implicit or self._txn_manager.is_empty_transaction():
            await super()._do_txn_commit(commit_result)
            return
        await self._message_accumulator.flush_for_commit()
        coordinator = CoordinationType.TRANSACTION, self._txn_manager.transactional_id
        node_id = await self._find_coordinator(*coordinator)
        await _EndTxnHandler(self, commit_result).do(node_id)
