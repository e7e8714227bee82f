"""Learns one tree from hindsight, example by example, and says when it has become the better one.

Pure but for the model, which learns in place: no clock and no IO, and the same examples in the
same order give the same versions. The champion is the document in force, the challenger a river
Hoeffding adaptive tree (Bifet & Gavaldà 2009), whose branches are replaced when they drift.
"""

from __future__ import annotations

import base64
import math
import sys
from collections import deque
from typing import Any, NamedTuple, Self

from schemas.errors import InvalidRecord
from schemas.example import TreeExample
from schemas.feature import FEATURE_NAMES
from schemas.fields import LABELS, TreeId
from schemas.snapshot import RECENT_EXAMPLES, Tally, TreeSnapshot
from schemas.tree import Retraining, TreeDocument
from streams.majority_tree import FeatureSplitter, MajorityTree
from streams.model_codec import decode_model, encode_model
from streams.prequential import accuracy, faded_accuracy, tallied
from streams.scoring import compile_tree, score
from streams.tree_changes import changes
from streams.tree_export import export_nodes, foretold

AUTHOR = "trainer"
_LARGEST = 1e9
"""Beyond every feature's range; river squares what it is given, so this also keeps it finite."""


class Learning(NamedTuple):
    """How a tree learns and when it is published: see ``config.settings.TrainerSettings``."""

    grace_period: int = 20
    delta: float = 1e-2
    tau: float = 0.5
    max_depth: int = 7
    seed: int = 7
    min_examples: int = 150
    fading: float = 0.99
    margin: float = 0.01


class TreeMetrics(NamedTuple):
    """All prequential, 0–1: over all examples, and faded.

    ``champion_accuracy`` is that of whichever version was in force; ``baseline_accuracy`` that of
    always guessing the most common label so far; ``version`` the one in force now.
    """

    examples: int
    version: int
    prequential_accuracy: float
    faded_accuracy: float
    champion_accuracy: float
    champion_faded_accuracy: float
    baseline_accuracy: float


class OnlineTree:
    """One tree: the champion in force, the challenger that learns, and how well both foretell."""

    def __init__(self, champion: TreeDocument, learning: Learning) -> None:
        self.tree_id: TreeId = champion.tree_id
        self._learning = learning
        self._model: Any = new_model(learning)
        self._challenger = self._baseline = self._champions = Tally()
        self._label_counts: dict[str, int] = {}
        self._recent: deque[str] = deque(maxlen=RECENT_EXAMPLES)
        self._enthrone(champion)

    @property
    def champion(self) -> TreeDocument:
        """The version in force."""
        return self._champion.document

    @property
    def metrics(self) -> TreeMetrics:
        return TreeMetrics(
            examples=self._challenger.count,
            version=self.champion.version,
            prequential_accuracy=accuracy(self._challenger),
            faded_accuracy=faded_accuracy(self._challenger),
            champion_accuracy=accuracy(self._champions),
            champion_faded_accuracy=faded_accuracy(self._champions),
            baseline_accuracy=accuracy(self._baseline),
        )

    def adopt(self, document: TreeDocument) -> bool:
        """Puts in force what ``tree.versions`` says is; says whether that is another version.

        One with the champion's own number and other content was there first, so it takes the
        champion's place. A lower one is ignored: it is from before what was learned here.
        """
        if document.tree_id != self.tree_id or document.version < self.champion.version:
            return False
        if document == self.champion:
            return False
        self._enthrone(document)
        return True

    def learn(self, example: TreeExample) -> TreeDocument | None:
        """Foretells the example, then learns it. A repeat of a recent one changes nothing.

        Returns:
            The next version, now in force, if the challenger has become the better one; never
            while the version in force is pinned.

        Raises:
            InvalidRecord: not an example of this tree, or a feature that is missing or no number;
                nothing has been learned from it.
        """
        features = self._features(example)
        if example.example_id in self._recent:
            return None
        self._recent.append(example.example_id)
        self._foretell(features, example.label)
        self._model.learn_one(features, example.label)
        counts = self._label_counts
        self._label_counts = {**counts, example.label: counts.get(example.label, 0) + 1}
        return self._next_version(example)

    def snapshot(self) -> TreeSnapshot:
        """All that `resume` needs to go on as if nothing had happened."""
        return TreeSnapshot(
            champion_version=self.champion.version,
            model=base64.b64encode(encode_model(self._model)).decode(),
            challenger=self._challenger,
            champion=self._champions,
            baseline=self._baseline,
            since_champion_challenger=self._race_challenger,
            since_champion_champion=self._race_champion,
            label_counts=self._label_counts,
            recent_ids=tuple(self._recent),
        )

    @classmethod
    def resume(cls, snapshot: TreeSnapshot, champion: TreeDocument, learning: Learning) -> Self:
        """The tree as it was; ``champion`` is the version now in force.

        If that is a later one than the snapshot's, the comparison with it begins anew.

        Raises:
            InvalidRecord: the model in the snapshot is not what we write, or the version in force
                is an earlier one.
        """
        if champion.version < snapshot.champion_version:
            raise InvalidRecord(
                f"{champion.tree_id}: the snapshot knows version {snapshot.champion_version}, "
                f"tree.versions ends with {champion.version}: the topic was emptied. Delete and "
                "create tree.snapshots too, to learn from the beginning"
            )
        tree = cls(champion, learning)
        try:
            packed = base64.b64decode(snapshot.model, validate=True)
        except ValueError as error:  # binascii.Error is one
            raise InvalidRecord(f"model: not in base64 ({error})") from None
        decode_model(packed, tree._model)
        tree._challenger = snapshot.challenger
        tree._champions = snapshot.champion
        tree._baseline = snapshot.baseline
        if champion.version == snapshot.champion_version:
            tree._race_challenger = snapshot.since_champion_challenger
            tree._race_champion = snapshot.since_champion_champion
        tree._label_counts = snapshot.label_counts
        tree._recent.extend(snapshot.recent_ids)
        return tree

    def _enthrone(self, document: TreeDocument) -> None:
        self._champion = compile_tree(document)
        self._race_challenger = self._race_champion = Tally()

    def _features(self, example: TreeExample) -> dict[str, float]:
        """In the order of ``FEATURES``: river breaks ties between splits by the order it met."""
        if example.tree_id != self.tree_id or example.label not in LABELS[self.tree_id]:
            raise InvalidRecord(
                f"example {example.example_id}: {example.label!r} of {example.tree_id} is no label "
                f"of {self.tree_id}"
            )
        if example.features.keys() != set(FEATURE_NAMES):
            odd = sorted(example.features.keys() ^ set(FEATURE_NAMES))
            raise InvalidRecord(
                f"example {example.example_id}: features missing or unknown: {', '.join(odd)}"
            )
        features = {name: float(example.features[name]) for name in FEATURE_NAMES}
        for name, value in features.items():
            if not math.isfinite(value) or abs(value) > _LARGEST:
                raise InvalidRecord(
                    f"example {example.example_id}: feature {name} is {value}, not a number "
                    f"between -{_LARGEST:g} and {_LARGEST:g}"
                )
        return features

    def _foretell(self, features: dict[str, float], label: str) -> None:
        fading = self._learning.fading
        challenger = foretold(self._model, self.tree_id, features) == label
        champion = score(self._champion, tuple(features.values())).label == label
        baseline = self._most_common() == label
        self._challenger = tallied(self._challenger, challenger, fading)
        self._champions = tallied(self._champions, champion, fading)
        self._baseline = tallied(self._baseline, baseline, fading)
        self._race_challenger = tallied(self._race_challenger, challenger, fading)
        self._race_champion = tallied(self._race_champion, champion, fading)

    def _most_common(self) -> str | None:
        """The first of ``LABELS`` among equals; ``None`` before the first example."""
        counts = self._label_counts
        return max(LABELS[self.tree_id], key=lambda label: counts.get(label, 0)) if counts else None

    def _next_version(self, example: TreeExample) -> TreeDocument | None:
        if self.champion.pinned or self._race_challenger.count < self._learning.min_examples:
            return None
        challenger = faded_accuracy(self._race_challenger)
        champion = faded_accuracy(self._race_champion)
        if challenger < champion + self._learning.margin:
            return None
        nodes = export_nodes(self._model, self.tree_id)
        changed = changes(self.champion, nodes)
        # A single leaf says the same of everybody: often right, and of no use to anyone.
        if not changed or len(nodes) == 1:
            return None
        document = TreeDocument(
            tree_id=self.tree_id,
            version=self.champion.version + 1,
            author=AUTHOR,
            reason=(
                f"foretold {challenger:.1%} of recent examples, version {self.champion.version} "
                f"{champion:.1%}"
            ),
            created_at=example.labelled_at,
            retraining_logs=Retraining(example.labelled_at, changed, self._challenger.count),
            nodes=nodes,
        )
        self._enthrone(document)
        return document


def new_model(learning: Learning) -> MajorityTree:
    """A tree that has learned nothing.

    Majority-class leaves and no bootstrap, so that a document can say all that it knows; never
    river's memory management, which freezes leaves (``max_depth`` bounds the size).
    """
    return MajorityTree(
        grace_period=learning.grace_period,
        delta=learning.delta,
        tau=learning.tau,
        max_depth=learning.max_depth,
        leaf_prediction="mc",
        splitter=FeatureSplitter(),
        bootstrap_sampling=False,
        memory_estimate_period=sys.maxsize,
        seed=learning.seed,
    )
