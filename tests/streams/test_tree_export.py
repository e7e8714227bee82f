"""A document foretells what its river tree foretells, drift, ties and empty leaves included."""

from __future__ import annotations

import random
from math import inf, nextafter
from typing import Any, cast

import pytest
from example_streams.drifting import drifting, guess_one_label
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from river.tree import HoeffdingAdaptiveTreeClassifier
from river.tree.nodes.branch import DTBranch
from river.tree.nodes.hatc_nodes import AdaBranchClassifier

from config.settings import TrainerSettings
from schemas.errors import InvalidTree
from schemas.feature import FEATURE_NAMES, FEATURES
from schemas.fields import LABELS, TreeId
from schemas.tree import MAX_NODES, Branch, TreeDocument
from streams.learning import Learning, new_model
from streams.scoring import compile_tree, score
from streams.tree_export import export_nodes, foretold

TREE: TreeId = "primary_classification"
EAGER = Learning(grace_period=20, delta=0.05, tau=0.3, max_depth=7)


def exported(model: HoeffdingAdaptiveTreeClassifier) -> TreeDocument:
    fields = {**dict(guess_one_label()), "nodes": export_nodes(model, TREE)}
    return TreeDocument.model_validate(fields)


def any_features(rng: random.Random) -> dict[str, float]:
    return {f.name: rng.uniform(f.low, min(f.high, 50)) for f in FEATURES}


def river_votes(model: Any, features: dict[str, float]) -> dict[str, float]:
    """What river says at the end of the main path, by its own code."""
    root = model._root
    leaf = DTBranch.traverse(root, features) if isinstance(root, DTBranch) else root
    return dict(cast(Any, leaf).prediction(features, tree=model))


def alternates(node: Any) -> int:
    if not isinstance(node, AdaBranchClassifier):
        return 0
    return (node._alternate_tree is not None) + sum(alternates(c) for c in node.children)


def test_long_stream_with_drift_foretells_as_river_does() -> None:
    model: Any = new_model(EAGER)
    rng = random.Random(5)
    most_branches = with_alternates = by_river_itself = 0
    for number, example in enumerate(drifting(12_000, drift_every=2_000)):
        model.learn_one(example.features, example.label)
        if number % 100:
            continue
        document = exported(model)
        tree = compile_tree(document)
        most_branches = max(most_branches, len(document.nodes) // 2)
        undisturbed = not alternates(model._root)
        with_alternates += not undisturbed
        for features in [any_features(rng) for _ in range(20)]:
            said = score(tree, tuple(features.values())).label
            assert said == foretold(model, TREE, features)
            votes = river_votes(model, features)
            top = sorted(votes.values())[-2:]
            if len(top) < 2 or top[1] - top[0] > 1e-9 * top[1]:  # river's ties go by hash order
                assert said == max(votes, key=votes.__getitem__)
                if undisturbed:
                    assert said == model.predict_one(features)
                    by_river_itself += 1
    assert most_branches >= 8
    assert with_alternates >= 3
    assert by_river_itself >= 500


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 400),
    drift_every=st.integers(30, 400),
    noise=st.floats(0, 1),
)
def test_any_stream_foretells_alike_and_exports_its_weights(
    seed: int, count: int, drift_every: int, noise: float
) -> None:
    model: Any = new_model(EAGER)
    rng = random.Random(seed)
    for example in drifting(count, drift_every=drift_every, seed=seed, noise=noise):
        model.learn_one(example.features, example.label)
    tree = compile_tree(exported(model))
    for features in [any_features(rng) for _ in range(20)]:
        found = score(tree, tuple(features.values()))
        assert found.label == foretold(model, TREE, features)
        votes = river_votes(model, features)
        total = sum(votes.values())
        for label, share in found.distribution.items():
            assert share == pytest.approx(votes[label] / total)


def test_a_tie_goes_to_the_label_named_first() -> None:
    model: Any = new_model(EAGER)
    features = dict.fromkeys(FEATURE_NAMES, 0.5)
    for label in (LABELS[TREE][4], LABELS[TREE][1]):
        model.learn_one(features, label)
    assert foretold(model, TREE, features) == LABELS[TREE][1]
    assert score(compile_tree(exported(model)), tuple(features.values())).label == LABELS[TREE][1]


def test_of_weights_that_round_to_one_share_the_larger_counts() -> None:
    model: Any = new_model(EAGER)
    features = dict.fromkeys(FEATURE_NAMES, 0.5)
    model.learn_one(features, LABELS[TREE][0])
    less, more, rest = 7.9, nextafter(7.9, inf), 5.5
    total = less + more + rest
    assert less / total == more / total
    model._root.stats = dict(zip(LABELS[TREE], (less, more, rest), strict=False))
    assert foretold(model, TREE, features) == LABELS[TREE][1]
    document = exported(model)
    assert score(compile_tree(document), tuple(features.values())).label == LABELS[TREE][1]
    assert document.nodes[0].rule_id == f"{LABELS[TREE][1]} @root"


def test_a_leaf_without_weights_has_those_of_the_node_above() -> None:
    model: Any = new_model(EAGER)
    for example in drifting(500, drift_every=500):
        model.learn_one(example.features, example.label)
    branch = model._root
    branch.children[1] = model._new_leaf(parent=branch)
    features = any_features(random.Random(1))
    features[branch.feature] = branch.threshold + 1
    most = max(branch.stats, key=branch.stats.get)
    assert foretold(model, TREE, features) == most
    assert score(compile_tree(exported(model)), tuple(features.values())).label == most


def test_rule_ids_say_what_is_asked_and_where() -> None:
    model: Any = new_model(EAGER)
    for example in drifting(800, drift_every=800):
        model.learn_one(example.features, example.label)
    nodes = export_nodes(model, TREE)
    root = nodes[0]
    assert isinstance(root, Branch)
    assert root.rule_id == f"{root.feature}<={root.threshold:.4g} @root"
    assert {node.rule_id.rsplit("@")[1] for node in nodes} >= {"root", "L", "R"}


def test_nothing_learned_is_no_document() -> None:
    with pytest.raises(InvalidTree, match="nothing"):
        export_nodes(new_model(EAGER), TREE)


def test_a_split_on_anything_but_a_feature_is_refused() -> None:
    model: Any = new_model(EAGER)
    rng = random.Random(3)
    for _ in range(400):
        red = rng.choice([0.0, 1.0])
        model.learn_one({"red": red}, LABELS[TREE][int(red)])
    assert isinstance(model._root, DTBranch)
    with pytest.raises(InvalidTree, match="no split"):
        export_nodes(model, TREE)


def test_the_deepest_tree_that_can_be_set_fits_a_document() -> None:
    deepest = TrainerSettings.model_json_schema()["properties"]["max_depth"]["maximum"]
    assert 2 ** (deepest + 1) - 1 <= MAX_NODES
    with pytest.raises(ValidationError):
        TrainerSettings(max_depth=deepest + 1)
