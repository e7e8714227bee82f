"""The examination: every check by itself, side by side, each within its time.

Facts are gathered by the ``ask_…`` files and judged by the others, which do nothing else. A check
that fails is a finding too.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from pydantic import SecretStr

from agents.broker_errors import broker_errors
from agents.topic_admin import admin_client, compare_topics
from agents.topics import TopicSpec, topic_specs
from config.settings import Settings
from doctor import ask_broker_clock, ask_kafka, ask_machine, ask_readers, ask_trees
from doctor.broker import judge_copies_wanted, judge_defaults, judge_log_dirs, judge_requests
from doctor.clocks import judge_clock
from doctor.compaction import judge_compaction
from doctor.finding import Finding, not_checked
from doctor.groups import judge_group, judge_trainer
from doctor.learner_partitions import judge_learner_partitions
from doctor.machine import judge_machine
from doctor.setting_faults import judge_settings
from doctor.store import judge_store
from doctor.topics import judge_replicas, judge_topics
from doctor.transactions import judge_transactions
from doctor.trees import judge_prompts, judge_trees
from schemas.errors import BrokerUnavailable, LearnerError
from sinks.registry import STORES

CHECK_SECONDS = 20.0
_STORE_SECONDS = 8.0

GROUPS = (
    "settings", "this machine", "kafka", "topics", "readers", "trees", "clocks", *STORES,
)  # fmt: skip
"""In the order in which they are shown."""

Check = Callable[[], Awaitable[Iterable[Finding]]]
Step = Callable[[str], object]


async def examine(settings: Settings, stores: Sequence[str], on_step: Step) -> list[Finding]:
    """Everything; ``on_step`` is told of each check that is done.

    Args:
        stores: those to look at; without any, those that the settings name or that have a sink.
    """
    # Before any check's time begins: drivers take a second or two to load, and hold up all others.
    _load_drivers(stores or STORES)
    examination = _Examination(settings, on_step)
    found = await asyncio.gather(
        examination.check("settings", "all", examination.settings_),
        examination.check("this machine", "all", examination.machine),
        examination.kafka_and_stores(stores),
    )
    every = [finding for findings in found for finding in findings]
    return sorted(every, key=lambda finding: GROUPS.index(finding.group))


def _load_drivers(stores: Iterable[str]) -> None:
    for store in stores:
        with suppress(ModuleNotFoundError):  # the store's own check says so
            importlib.import_module(f"doctor.ask_{store}")


class _Examination:
    def __init__(self, settings: Settings, on_step: Step) -> None:
        self._settings = settings
        self._on_step = on_step

    async def check(
        self, group: str, name: str, do: Check, seconds: float = CHECK_SECONDS
    ) -> list[Finding]:
        """What it found, or that it could not be done and why."""
        try:
            async with asyncio.timeout(seconds):
                return list(await do())
        except TimeoutError:
            return [not_checked(group, name, f"not done within {seconds:g} s", "try it again")]
        except LearnerError as error:  # says itself what to do
            return [Finding(group, name, "wrong", self._without_secrets(error))]
        except Exception as error:  # of whatever kind: the others are told all the same
            said = f"{type(error).__name__}: {error}"
            return [not_checked(group, name, self._without_secrets(said))]
        finally:
            self._on_step(f"{group}: {name}")

    async def settings_(self) -> Iterator[Finding]:
        return judge_settings(self._settings)

    async def machine(self) -> Iterator[Finding]:
        return judge_machine(await asyncio.to_thread(ask_machine.machine, self._settings))

    async def kafka_and_stores(self, stores: Sequence[str]) -> list[Finding]:
        """Kafka first for a moment: it knows which stores have a sink."""
        try:
            async with admin_client(self._settings.kafka) as admin:
                kafka = _Kafka(self._settings, admin, self)
                with_sink: list[str] = []
                with suppress(KafkaError):  # the readers' own check says so
                    with_sink = await ask_readers.stores_with_groups(
                        admin, self._settings.worker.app_id
                    )
                wanted = stores or self._wanted(with_sink)
                found = await asyncio.gather(
                    kafka.examine(wanted), *(self.store(s, s in with_sink) for s in wanted)
                )
                return [finding for findings in found for finding in findings]
        except BrokerUnavailable as error:
            away = Finding("kafka", "reachable", "wrong", self._without_secrets(error))
            self._on_step("kafka: reachable")
        wanted = stores or self._wanted(())
        found = await asyncio.gather(*(self.store(s, has_run=False) for s in wanted))
        return [away, *(finding for findings in found for finding in findings)]

    async def store(self, store: str, has_run: bool) -> list[Finding]:
        return await self.check(store, "reachable", lambda: self._store(store, has_run))

    async def _store(self, store: str, has_run: bool) -> Iterable[Finding]:
        section = getattr(self._settings, store)
        if hasattr(section, "timeout_seconds"):
            limit = min(section.timeout_seconds, _STORE_SECONDS)
            section = section.model_copy(update={"timeout_seconds": limit})
        try:
            asking = importlib.import_module(f"doctor.ask_{store}")
        except ModuleNotFoundError as error:
            why = f"it needs {error.name}"
            return [not_checked(store, "driver", why, "pip install 'learner-stream[stores]'")]
        facts = await asking.facts(section, has_run=has_run)
        clock = [judge_clock(facts.clock)] if facts.clock is not None else []
        return [*judge_store(facts), *clock]

    def _wanted(self, with_sink: Iterable[str]) -> list[str]:
        given = self._settings.model_fields_set
        return [store for store in STORES if store in given or store in with_sink]

    def _without_secrets(self, said: object) -> str:
        """A driver's words on one line; ours never have a secret in them, others' might."""
        text = " ".join(str(said).split())[:600]
        for _, group in self._settings:
            for _, value in group:
                secret = value.get_secret_value() if isinstance(value, SecretStr) else ""
                if len(secret) > 3:
                    text = text.replace(secret, "**********")
        return text


class _Kafka:
    """The checks of a Kafka that answers."""

    def __init__(
        self, settings: Settings, admin: AIOKafkaAdminClient, examination: _Examination
    ) -> None:
        self._settings = settings
        self._admin = admin
        self._examination = examination

    async def examine(self, stores: Sequence[str]) -> list[Finding]:
        with suppress(TimeoutError, KafkaError):  # then those who ask about groups say so
            async with asyncio.timeout(CHECK_SECONDS):
                group = self._settings.worker.app_id
                await ask_readers.until_groups_are_kept(self._admin, group)
        checks: tuple[tuple[str, str, Check], ...] = (
            ("kafka", "brokers", self.brokers),
            ("kafka", "transactions", self.transactions),
            ("topics", "there", self.topics),
            ("topics", "copies in sync", self.replicas),
            ("topics", "compaction", self.compaction),
            ("topics", "learners' partitions", self.learner_partitions),
            ("readers", "groups", lambda: self.groups(stores)),
            ("readers", "trainer", self.trainer),
            ("trees", "versions", self.trees),
            ("clocks", "kafka", self.clock),
        )
        found = await asyncio.gather(
            *(self._examination.check(group, name, self._told(do)) for group, name, do in checks)
        )
        return [finding for findings in found for finding in findings]

    def _told(self, do: Check) -> Check:
        """With Kafka's errors as ours."""

        async def told() -> Iterable[Finding]:
            with broker_errors(self._settings.kafka):
                return await do()

        return told

    async def brokers(self) -> Iterable[Finding]:
        facts = await ask_kafka.brokers(self._admin)
        return [
            *judge_requests(facts, ask_kafka.requests_sent()),
            *judge_defaults(facts),
            *judge_copies_wanted(self._settings.kafka, len(facts)),
            *judge_log_dirs(facts),
        ]

    async def transactions(self) -> Iterable[Finding]:
        there = set(await self._admin.list_topics())
        wanted = [spec.name for spec in self._specs() if spec.name in there]
        partitions, open_ = await ask_kafka.open_transactions(self._settings, wanted)
        bootstrap = self._settings.kafka.bootstrap_servers
        return judge_transactions(partitions, open_, bootstrap)

    async def topics(self) -> Iterable[Finding]:
        return judge_topics(await compare_topics(self._admin, self._settings))

    async def replicas(self) -> Iterable[Finding]:
        return judge_replicas(*await ask_kafka.partitions(self._admin, self._settings))

    async def compaction(self) -> Iterable[Finding]:
        return judge_compaction(await ask_kafka.changelogs(self._admin, self._settings))

    async def learner_partitions(self) -> Iterable[Finding]:
        return [judge_learner_partitions(await ask_kafka.learner_partitions(self._settings))]

    async def groups(self, stores: Sequence[str]) -> Iterable[Finding]:
        found = await ask_readers.groups(self._admin, self._settings, stores)
        return [judge_group(group) for group in found]

    async def trainer(self) -> Iterable[Finding]:
        return [judge_trainer(await ask_readers.trainer(self._settings))]

    async def trees(self) -> Iterable[Finding]:
        facts = await ask_trees.trees(self._admin, self._settings)
        return [*judge_trees(facts, time.time()), *judge_prompts(facts)]

    async def clock(self) -> Iterable[Finding]:
        return [judge_clock(await ask_broker_clock.broker_clock(self._admin, self._settings))]

    def _specs(self) -> Sequence[TopicSpec]:
        return topic_specs(self._settings.kafka, self._settings.worker)
