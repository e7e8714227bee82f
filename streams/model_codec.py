"""A river Hoeffding adaptive tree to bytes and back: zlib-compressed JSON of `ModelState`.

No pickle, and no class is ever looked up by a name from outside: each object is built here, of a
class written here, from numbers that were checked. What river keeps in a node is private to it, so
its version is pinned, and writing refuses an object that has other attributes than those known.
Random-number state is left out: without bootstrap sampling nothing ever draws from it.
"""

from __future__ import annotations

import zlib
from typing import Any

from msgspec.json import Decoder
from river.stats import Mean, Var

from schemas.contract import encode
from schemas.errors import InvalidRecord
from schemas.feature import FEATURE_INDEX
from schemas.online_model import (
    BranchState,
    ClassValues,
    LeafState,
    MeanState,
    ModelState,
)
from streams.drift_window import read_window, write_window
from streams.majority_tree import (
    FeatureSplitter,
    MajorityBranch,
    MajorityLeaf,
    MajorityTree,
    distribution,
)

MAX_MODEL_BYTES = 64 * 1024 * 1024

_COUNTERS = (
    "_n_active_leaves",
    "_n_inactive_leaves",
    "_n_alternate_trees",
    "_n_pruned_alternate_trees",
    "_n_switch_alternate_trees",
)
_LEAF = {
    *("stats", "depth", "splitter", "splitters", "drift_detector", "_mean_error"),
    *("_disabled_attrs", "_last_split_attempt_at"),
}
_BRANCH = {
    *("stats", "depth", "feature", "threshold", "children"),
    *("drift_detector", "_alternate_tree", "_mean_error"),
}
_SPLITTER = {"_min_per_class", "_max_per_class", "_att_dist_per_class", "n_splits"}
_decode = Decoder(ModelState).decode
# As river leaves it: without types.
_new_branch: Any = MajorityBranch


def encode_model(model: MajorityTree) -> bytes:
    """The model's whole state, compressed.

    Raises:
        InvalidRecord: river's objects are not as they were when this was written.
    """
    if model.bootstrap_sampling or model.nominal_attributes or model.remove_poor_attrs:
        raise InvalidRecord("model: only trees without bootstrap, over numbers, can be written")
    state = ModelState(
        classes=tuple(sorted(model.classes)),
        weight_seen=model._train_weight_seen_by_model,
        counters={name: getattr(model, name) for name in _COUNTERS},
        root=None if model._root is None else _node_state(model._root),
    )
    raw = encode(state)
    _checked(raw)
    return zlib.compress(raw, 1)


def decode_model(data: bytes, new: MajorityTree) -> MajorityTree:
    """Fills ``new``, a model that has learned nothing, with the state in ``data``, and returns it.

    Raises:
        InvalidRecord: not the bytes of a model, or more than `MAX_MODEL_BYTES` unpacked.
    """
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(data, MAX_MODEL_BYTES)
    except zlib.error as error:
        raise InvalidRecord(f"model: not compressed as we write it ({error})") from None
    if not unpacker.eof or unpacker.unused_data:
        raise InvalidRecord(f"model: cut off, or larger than {MAX_MODEL_BYTES} bytes unpacked")
    state = _checked(raw)
    if set(state.counters) != set(_COUNTERS):
        raise InvalidRecord("model: counters are not those of a Hoeffding adaptive tree")
    model: Any = new
    model.classes = set(state.classes)
    model._train_weight_seen_by_model = state.weight_seen
    for name, value in state.counters.items():
        setattr(model, name, value)
    model._root = None if state.root is None else _node(state.root, model)
    return new


def _checked(raw: bytes) -> ModelState:
    try:
        return _decode(raw)
    except (ValueError, RecursionError) as error:
        raise InvalidRecord(f"model: {error}") from None


def _known(node: Any, kind: type, attributes: set[str]) -> None:
    if type(node) is not kind or vars(node).keys() != attributes:
        raise InvalidRecord(
            f"model: a {type(node).__name__} with {sorted(vars(node))} is not what this codec "
            "knows of river: it needs the pinned version"
        )


def _node_state(node: Any) -> LeafState | BranchState:
    if isinstance(node, MajorityLeaf):
        return _leaf_state(node)
    _known(node, MajorityBranch, _BRANCH)
    left, right = node.children
    return BranchState(
        depth=node.depth,
        stats=node.stats,
        error=_mean_state(node._mean_error),
        window=read_window(node.drift_detector),
        feature=node.feature,
        threshold=node.threshold,
        left=_node_state(left),
        right=_node_state(right),
        alternate=None if node._alternate_tree is None else _node_state(node._alternate_tree),
    )


def _leaf_state(leaf: Any) -> LeafState:
    _known(leaf, MajorityLeaf, _LEAF)
    if leaf._disabled_attrs:
        raise InvalidRecord("model: a leaf with features switched off cannot be written")
    features = None
    if leaf.splitters is not None:
        features = {name: _splitter_state(splitter) for name, splitter in leaf.splitters.items()}
    return LeafState(
        depth=leaf.depth,
        stats=leaf.stats,
        error=_mean_state(leaf._mean_error),
        window=read_window(leaf.drift_detector),
        last_split_attempt_at=float(leaf._last_split_attempt_at),
        features=features,
    )


def _splitter_state(splitter: Any) -> tuple[ClassValues, ...]:
    _known(splitter, FeatureSplitter, _SPLITTER)
    low, high = splitter._min_per_class, splitter._max_per_class
    values = []
    for label, gaussian in splitter._att_dist_per_class.items():
        variance = gaussian._var
        mean = variance.mean
        values.append(ClassValues(label, low[label], high[label], mean.n, mean._mean, variance._S))
    return tuple(values)


def _mean_state(mean: Mean) -> MeanState:
    return MeanState(mean.n, mean._mean)


def _node(state: LeafState | BranchState, tree: Any) -> Any:
    detector = tree.drift_detector.clone()
    write_window(state.window, detector)
    if isinstance(state, LeafState):
        leaf: Any = MajorityLeaf(state.stats, state.depth, tree.splitter, detector)
        leaf._mean_error = _mean(state.error)
        leaf._last_split_attempt_at = state.last_split_attempt_at
        leaf.splitters = None
        if state.features is not None:
            leaf.splitters = {
                _feature(name): _splitter(classes, tree) for name, classes in state.features.items()
            }
        return leaf
    branch = _new_branch(
        state.stats,
        _feature(state.feature),
        state.threshold,
        state.depth,
        _node(state.left, tree),
        _node(state.right, tree),
        drift_detector=detector,
    )
    branch._mean_error = _mean(state.error)
    if state.alternate is not None:
        branch._alternate_tree = _node(state.alternate, tree)
    return branch


def _feature(name: str) -> str:
    if name not in FEATURE_INDEX:
        raise InvalidRecord(f"model: {name!r} is no feature")
    return name


def _splitter(classes: tuple[ClassValues, ...], tree: Any) -> FeatureSplitter:
    splitter: FeatureSplitter = tree.splitter.clone()
    for values in classes:
        splitter._min_per_class[values.label] = values.low
        splitter._max_per_class[values.label] = values.high
        variance = Var(ddof=1)
        variance.mean = _mean(MeanState(values.n, values.mean))
        variance._S = values.squares
        splitter._att_dist_per_class[values.label] = distribution(variance)
    return splitter


def _mean(state: MeanState) -> Mean:
    mean = Mean()
    mean.n, mean._mean = state.n, state.mean
    return mean
