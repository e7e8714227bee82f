"""The online tree: foretells before it learns, follows a drift, publishes what is better."""

from __future__ import annotations

from itertools import pairwise
from math import inf, nan

import pytest
from example_streams.drifting import drifting, guess_one_label
from msgspec.structs import replace

from schemas.errors import InvalidRecord
from schemas.example import TreeExample
from schemas.fields import LABELS, TreeId
from schemas.snapshot import RECENT_EXAMPLES, TreeSnapshot
from schemas.tree import Branch, TreeDocument
from streams.learning import Learning, OnlineTree
from streams.scoring import compile_tree, score
from streams.tree_changes import changes

TREE: TreeId = "primary_classification"
LEARNING = Learning(min_examples=100)


def learned(tree: OnlineTree, examples: list[TreeExample]) -> list[tuple[int, TreeDocument]]:
    versions = []
    for number, example in enumerate(examples):
        document = tree.learn(example)
        if document is not None:
            versions.append((number, document))
    return versions


def share_right(document: TreeDocument, examples: list[TreeExample]) -> float:
    tree = compile_tree(document)
    hits = [score(tree, tuple(e.features.values())).label == e.label for e in examples]
    return sum(hits) / len(hits)


def test_first_examples_by_hand() -> None:
    """Champion says A always. Labels B, B, A, B.

    Challenger: nothing yet, B, B, B: right at 2 and 4. Champion right at 3. Most common so far:
    nothing, B, B, B: right at 2 and 4.
    """
    a, b = LABELS[TREE][:2]
    tree = OnlineTree(guess_one_label(), LEARNING)
    examples = list(drifting(4, drift_every=10))
    for example, label in zip(examples, (b, b, a, b), strict=True):
        tree.learn(replace(example, label=label))
    measured = tree.metrics
    assert measured.examples == 4
    assert measured.prequential_accuracy == 0.5
    assert measured.champion_accuracy == 0.25
    assert measured.baseline_accuracy == 0.5
    # α = 0.99: hits at 2 and 4 of 4
    assert measured.faded_accuracy == pytest.approx((0.99**2 + 1) / (0.99**3 + 0.99**2 + 1.99))


def test_drift_makes_it_publish_better_versions() -> None:
    examples = list(drifting(9_000, drift_every=3_000))
    tree = OnlineTree(guess_one_label(), LEARNING)
    versions = learned(tree, examples)
    numbers = [document.version for _, document in versions]
    assert numbers == list(range(1, len(numbers) + 1))
    for drift in (3_000, 6_000):
        before = [d for n, d in versions if n < drift][-1]
        after = [d for n, d in versions if drift <= n < drift + 3_000]
        assert after, "no version after the drift"
        rest = examples[drift + 2_000 : drift + 3_000]
        assert share_right(after[-1], rest) > share_right(before, rest) + 0.3
    measured = tree.metrics
    assert measured.prequential_accuracy > measured.baseline_accuracy + 0.2
    assert measured.champion_accuracy > measured.baseline_accuracy


def test_a_version_says_how_it_came_to_be() -> None:
    examples = list(drifting(2_000, drift_every=2_000))
    tree = OnlineTree(guess_one_label(), LEARNING)
    number, first = learned(tree, examples)[0]
    assert number >= LEARNING.min_examples - 1
    assert first.author == "trainer"
    assert first.created_at == examples[number].labelled_at
    log = first.retraining_logs
    assert log is not None
    assert log.data_points_used == number + 1
    assert log.date == examples[number].labelled_at
    assert any(change.startswith("added ") for change in log.changes_made)
    assert "version 0" in first.reason
    assert first.reason.count("%") == 2


def test_the_same_examples_give_the_same_versions() -> None:
    examples = list(drifting(3_000, drift_every=1_000))
    runs = [learned(OnlineTree(guess_one_label(), LEARNING), examples) for _ in range(2)]
    assert runs[0] == runs[1]
    assert runs[0]


def test_nothing_is_published_before_enough_examples_or_without_the_margin() -> None:
    examples = list(drifting(1_500, drift_every=1_500))
    late = OnlineTree(guess_one_label(), LEARNING._replace(min_examples=1_501))
    assert learned(late, examples) == []
    never = OnlineTree(guess_one_label(), LEARNING._replace(margin=1.0))
    assert learned(never, examples) == []


def test_a_tree_that_decides_alike_is_not_published_again() -> None:
    """Margin 0 after every example: mostly as good as the champion, because it is the same."""
    tree = OnlineTree(guess_one_label(), LEARNING._replace(margin=0.0, min_examples=1))
    examples = list(drifting(1_500, drift_every=1_500))
    documents = [guess_one_label(), *(d for _, d in learned(tree, examples))]
    assert 2 < len(documents) < 150
    for before, after in pairwise(documents):
        assert changes(before, after.nodes)


def test_a_tree_that_says_the_same_of_everybody_is_never_published() -> None:
    """One label only, not the champion's: the challenger is right, and has nothing to ask."""
    label = LABELS[TREE][3]
    tree = OnlineTree(guess_one_label(), LEARNING)
    examples = [replace(e, label=label) for e in drifting(300, drift_every=300)]
    assert learned(tree, examples) == []
    assert tree.metrics.faded_accuracy > tree.metrics.champion_faded_accuracy + 0.9


def test_a_repeat_changes_nothing() -> None:
    examples = list(drifting(RECENT_EXAMPLES, drift_every=1_000))
    tree = OnlineTree(guess_one_label(), LEARNING)
    learned(tree, examples)
    before = tree.snapshot()
    learned(tree, examples)
    assert tree.snapshot() == before


def test_an_operators_version_is_adopted_only_when_higher() -> None:
    examples = list(drifting(4_000, drift_every=4_000))
    tree = OnlineTree(guess_one_label(), LEARNING)
    learned(tree, examples[:1_000])
    version = tree.champion.version
    assert version >= 1
    by_hand = guess_one_label().model_copy(update={"version": version + 5, "author": "operator"})
    assert not tree.adopt(by_hand.model_copy(update={"version": version - 1}))
    assert not tree.adopt(tree.champion.model_copy())
    assert not tree.adopt(
        guess_one_label("intervention_strategy").model_copy(update={"version": version + 9})
    )
    assert tree.champion.version == version
    assert tree.adopt(by_hand)
    assert tree.champion == by_hand
    again = learned(tree, examples[1_000:])
    assert again[0][1].version == version + 6
    assert again[0][0] >= LEARNING.min_examples - 1


@pytest.mark.parametrize("cut", [1, 250, 1_700])
def test_resumed_it_goes_on_as_if_nothing_had_happened(cut: int) -> None:
    examples = list(drifting(3_000, drift_every=1_000))
    plain = OnlineTree(guess_one_label(), LEARNING)
    expected = learned(plain, examples)
    first = OnlineTree(guess_one_label(), LEARNING)
    versions = learned(first, examples[:cut])
    resumed = OnlineTree.resume(first.snapshot(), first.champion, LEARNING)
    assert resumed.metrics == first.metrics
    versions += [(n + cut, d) for n, d in learned(resumed, examples[cut:])]
    assert versions == expected
    assert resumed.snapshot() == plain.snapshot()


@pytest.mark.parametrize("value", [nan, inf, -inf, 1e10])
def test_a_feature_that_is_no_number_teaches_nothing(value: float) -> None:
    tree = OnlineTree(guess_one_label(), LEARNING)
    good, bad = drifting(2, drift_every=10)
    tree.learn(good)
    before = tree.snapshot()
    with pytest.raises(InvalidRecord, match="recent_score"):
        tree.learn(replace(bad, features={**bad.features, "recent_score": value}))
    assert tree.snapshot() == before


def test_other_features_labels_or_trees_are_refused() -> None:
    tree = OnlineTree(guess_one_label(), LEARNING)
    (example,) = drifting(1, drift_every=10)
    fewer = {name: value for name, value in example.features.items() if name != "gpa"}
    for wrong in (
        replace(example, features=fewer),
        replace(example, features={**example.features, "shoe_size": 43.0}),
        replace(example, label="Genius"),
        replace(example, tree_id="intervention_strategy"),
    ):
        with pytest.raises(InvalidRecord, match=example.example_id):
            tree.learn(wrong)
    assert tree.metrics.examples == 0


def test_features_in_another_order_are_the_same_example() -> None:
    examples = list(drifting(600, drift_every=600))
    turned = [replace(e, features=dict(reversed(e.features.items()))) for e in examples]
    one, other = (OnlineTree(guess_one_label(), LEARNING) for _ in range(2))
    assert learned(one, examples) == learned(other, turned)
    assert one.snapshot() == other.snapshot()


def test_a_snapshot_that_is_none_is_refused() -> None:
    for model in ("§", "AAAA"):
        with pytest.raises(InvalidRecord, match="model"):
            OnlineTree.resume(TreeSnapshot(0, model), guess_one_label(), LEARNING)


def test_published_branches_ask_known_features_only() -> None:
    tree = OnlineTree(guess_one_label(), LEARNING)
    versions = learned(tree, list(drifting(2_000, drift_every=2_000)))
    branches = [n for _, d in versions for n in d.nodes if isinstance(n, Branch)]
    assert branches
