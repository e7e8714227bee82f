"""What can happen to brokers, and to the network between them and the workers: each a function.

A fault is done to a `faults.broker_fault.Stage` for ``seconds``, draws what it chooses from
``stage.random``, and is over when it returns: brokers back in sync, the network healed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from agents.topics import DECISIONS, EVENTS
from faults.broker_fault import BrokerFault, Stage

COORDINATORS = ("__transaction_state", "__consumer_offsets")
_BETWEEN_MOVES_SECONDS = 2.0
_SLOW_MS, _SLOW_KILOBYTES = 300, 50


def broker_killed(stage: Stage, seconds: float) -> None:
    """One of them, whichever leads and coordinates what."""
    killed = stage.cluster.brokers[stage.any_broker()]
    killed.kill()
    time.sleep(seconds)
    killed.start()
    stage.cluster.wait_until_in_sync()


def all_brokers_killed(stage: Stage, seconds: float) -> None:
    """At once, as by a power cut that leaves the disks' caches."""
    for broker in stage.cluster.brokers:
        broker.kill()
    time.sleep(seconds)
    stage.cluster.start_brokers()
    stage.cluster.wait_until_in_sync()


def brokers_restarted_in_turn(stage: Stage, seconds: float) -> None:
    """In good order, as for an upgrade, with a pause of ``seconds`` after each."""
    for broker in stage.cluster.brokers:
        broker.restart()
        stage.cluster.wait_until_in_sync()
        time.sleep(seconds)


def leaders_moved(stage: Stage, seconds: float) -> None:
    """Of what the workers read, of what they write, and of both kinds of coordinator."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        for topic in (EVENTS, DECISIONS, *COORDINATORS):
            stage.cluster.move_leaders(topic, stage.any_broker())
        time.sleep(_BETWEEN_MOVES_SECONDS)


def broker_frozen(stage: Stage, seconds: float) -> None:
    """It keeps its connections, answers nobody, and believes on waking that it still leads."""
    frozen = stage.cluster.brokers[stage.any_broker()]
    frozen.freeze()
    try:
        time.sleep(seconds)
    finally:
        frozen.wake()
    stage.cluster.wait_until_in_sync()


def broker_lost_and_worker_killed(stage: Stage, seconds: float) -> None:
    """The worker that starts again restores everything from the two brokers that are left."""
    lost = stage.cluster.brokers[stage.any_broker()]
    lost.kill()
    time.sleep(seconds / 2)
    stage.workers.kill()
    time.sleep(seconds / 2)
    lost.start()
    stage.cluster.wait_until_in_sync()


def rebalanced_in_an_outage(stage: Stage, seconds: float) -> None:
    """No majority is left; meanwhile one worker is killed and another joins."""
    with _lost(stage, 2):
        time.sleep(seconds / 3)
        stage.workers.kill()
        time.sleep(seconds / 3)
        stage.workers.add()
        time.sleep(seconds / 3)


def network_refused(stage: Stage, seconds: float) -> None:
    """Every connection ends, and none can be made."""
    with _spoiled(stage):
        stage.proxy.refuse()
        time.sleep(seconds)


def network_refused_by_one(stage: Stage, seconds: float) -> None:
    """One broker cannot be reached from the workers, though the others reach it: it keeps what it
    leads."""
    with _spoiled(stage):
        stage.proxy.refuse(only=stage.any_broker())
        time.sleep(seconds)


def network_reset(stage: Stage, seconds: float) -> None:
    """Every connection breaks as soon as it is used."""
    with _spoiled(stage):
        stage.proxy.reset()
        time.sleep(seconds)


def network_black_hole(stage: Stage, seconds: float) -> None:
    """What is sent is gone, and nobody is told."""
    with _spoiled(stage):
        stage.proxy.black_hole()
        time.sleep(seconds)


def network_answers_lost(stage: Stage, seconds: float) -> None:
    """The brokers do what they are asked to, and the workers never learn that they did."""
    with _spoiled(stage):
        stage.proxy.black_hole(directions=["downstream"])
        time.sleep(seconds)


def network_held(stage: Stage, seconds: float) -> None:
    """A cable pulled and plugged in again: what was under way arrives, late."""
    with _spoiled(stage):
        stage.proxy.hold()
        time.sleep(seconds)


def network_late(stage: Stage, seconds: float) -> None:
    """300 ms in each direction."""
    with _spoiled(stage):
        stage.proxy.delay(_SLOW_MS)
        time.sleep(seconds)


def network_narrow(stage: Stage, seconds: float) -> None:
    """50 kB a second for each connection, in each direction."""
    with _spoiled(stage):
        stage.proxy.throttle(_SLOW_KILOBYTES)
        time.sleep(seconds)


BROKER_FAULTS = (
    BrokerFault("one-of-three-killed", broker_killed, 1, 20, asked=10),
    BrokerFault("all-brokers-killed", all_brokers_killed, 1, 15),
    BrokerFault("brokers-restarted", brokers_restarted_in_turn, 1, 5),
    BrokerFault("leaders-moved", leaders_moved, 5, 20, asked=10),
    BrokerFault("broker-frozen", broker_frozen, 2, 30),
    BrokerFault("broker-lost-worker-killed", broker_lost_and_worker_killed, 6, 20),
    BrokerFault("rebalance-in-an-outage", rebalanced_in_an_outage, 6, 30),
    BrokerFault("network-refused", network_refused, 1, 40),
    BrokerFault("network-refused-by-one", network_refused_by_one, 1, 40),
    BrokerFault("network-reset", network_reset, 1, 40),
    BrokerFault("network-black-hole", network_black_hole, 1, 40),
    BrokerFault("network-answers-lost", network_answers_lost, 1, 40),
    BrokerFault("network-held", network_held, 1, 40),
    BrokerFault("network-late", network_late, 10, 20),
    BrokerFault("network-narrow", network_narrow, 10, 20),
)


@contextmanager
def _spoiled(stage: Stage) -> Iterator[None]:
    try:
        yield
    finally:
        stage.proxy.heal()


@contextmanager
def _lost(stage: Stage, count: int) -> Iterator[None]:
    lost = stage.random.sample(stage.cluster.brokers, count)
    for broker in lost:
        broker.kill()
    try:
        yield
    finally:
        stage.cluster.start_brokers()
        stage.cluster.wait_until_in_sync()
