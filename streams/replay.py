"""Events from anywhere but Kafka through the same step: the oracle for every test of the worker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from schemas.example import TreeExample
from schemas.fields import TreeId
from schemas.tree import TreeDocument
from streams.batch import Batch, Source, process
from streams.decode import Record
from streams.prompt import Prompts
from streams.rules import Rules
from streams.scoring import compile_tree, compile_trees
from streams.step import Trees
from streams.tables import MemoryTables

Learn = Callable[[TreeExample], TreeDocument | None]
"""Learns one example; returns the version that comes into force with it, if one does."""


class Replay:
    """Folds records into tables of its own; ``counts`` adds up what happened to them.

    With ``learn``, each event's examples are learned before the next event, and a version that
    comes of it decides from then on: the same records give the same versions every time.
    """

    def __init__(
        self,
        trees: Mapping[TreeId, TreeDocument],
        rules: Rules,
        source: Source,
        learn: Learn | None = None,
    ) -> None:
        self.tables = MemoryTables()
        self.versions: list[TreeDocument] = list(trees.values())
        self.counts: Counter[str] = Counter()
        self._trees: Trees = compile_trees(trees)
        self._rules = rules
        self._source = source
        self._learn = learn

    def feed(self, records: Iterable[Record]) -> Iterator[Batch]:
        """What each record did, one by one."""
        for record in records:
            batch = process((record,), self.tables, self._trees, self._rules, self._source)
            self.tables.apply(batch.tables.changed)
            self.counts.update(batch.counts)
            if self._learn is not None:
                for example in batch.examples:
                    version = self._learn(example)
                    if version is not None:
                        self.adopt(version)
            yield batch

    def adopt(self, version: TreeDocument) -> None:
        """Decides with it from the next record on."""
        self.versions.append(version)
        self._trees = {**self._trees, version.tree_id: compile_tree(version)}

    def adopt_prompts(self, prompts: Prompts) -> None:
        """Fills prompts from it from the next record on."""
        self._rules = self._rules._replace(prompts=prompts)
