"""A replay of the log with what decided at the time: tree versions and prompt sets, by adoptions.

Workers say on ``tree.adoptions`` from which event on which versions decide (docs/decisions/0016);
with them a replay leaves the very states, decisions and examples that the worker left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from schemas.adoption import TreeAdoption
from schemas.errors import InvalidInput, InvalidSetting
from schemas.fields import TreeId
from schemas.prompt import PromptSet
from schemas.tree import TreeDocument
from streams.batch import Batch, Source
from streams.decode import Record
from streams.prompt import Prompts
from streams.replay import Replay
from streams.rules import Rules
from streams.tables import MemoryTables

Versions = Mapping[tuple[TreeId, int], TreeDocument]
PromptSets = Mapping[str, PromptSet]


class Decided(NamedTuple):
    """``adoptions``: by partition of ``learner.events``, in order. ``versions``, ``prompt_sets``:
    all that they name."""

    adoptions: Mapping[int, Sequence[TreeAdoption]]
    versions: Versions
    prompt_sets: PromptSets


class DecidedReplay:
    """One partition of ``learner.events``, record by record from its beginning.

    Args:
        trees: version 0 of each tree.
        rules: the worker's, but for its prompts.
        source: which partition.
        decided: what decided there.
    """

    def __init__(
        self,
        trees: Mapping[TreeId, TreeDocument],
        rules: Rules,
        source: Source,
        decided: Decided,
    ) -> None:
        self._replay = Replay(trees, rules, source)
        self._partition = source.partition
        self._adopted = 0
        self._decided = decided
        self._in_force: dict[TreeId, int] = dict.fromkeys(trees, 0)
        self._prompt_version = ""

    @property
    def tables(self) -> MemoryTables:
        """As they are after the last record taken."""
        return self._replay.tables

    def know(self, decided: Decided) -> None:
        """What has decided by now, for the records to come: what was known before, and more."""
        self._decided = decided

    def take(self, record: Record) -> Batch:
        """What the record did.

        Raises:
            InvalidInput: an adoption names a version or a prompt set that nobody has, or a set of
                another release, which this one cannot fill.
        """
        self._adopt_until(record.offset)
        (batch,) = self._replay.feed((record,))
        return batch

    def _adopt_until(self, offset: int) -> None:
        """In the order of the log; an adoption that goes back over decided events is a replay's."""
        adoptions = self._decided.adoptions.get(self._partition, ())
        while self._adopted < len(adoptions) and adoptions[self._adopted].offset <= offset:
            adoption = adoptions[self._adopted]
            for tree_id, version in adoption.versions.items():
                if self._in_force[tree_id] != version:
                    self._adopt(tree_id, version, adoption.offset)
            if self._prompt_version != adoption.prompt_version:
                self._adopt_prompts(adoption.prompt_version, adoption.offset)
            self._adopted += 1

    def _adopt(self, tree_id: TreeId, version: int, offset: int) -> None:
        if (tree_id, version) not in self._decided.versions:
            raise InvalidInput(
                f"{tree_id} version {version} decided from offset {offset} on, and is not on "
                "tree.versions"
            )
        self._in_force[tree_id] = version
        self._replay.adopt(self._decided.versions[tree_id, version])

    def _adopt_prompts(self, version: str, offset: int) -> None:
        if version not in self._decided.prompt_sets:
            raise InvalidInput(
                f"prompt set {version} decided from offset {offset} on, and is not on prompt.sets"
            )
        self._prompt_version = version
        try:
            self._replay.adopt_prompts(Prompts(self._decided.prompt_sets[version]))
        except InvalidSetting as error:
            raise InvalidInput(
                f"prompt set {version} decided from offset {offset} on, and this release cannot "
                f"fill it: {error}"
            ) from None
