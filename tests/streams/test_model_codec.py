"""A model that was written and read back learns on bit for bit; what is no model is refused."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from example_streams.drifting import drifting
from hypothesis import given, settings
from hypothesis import strategies as st
from river.tree import HoeffdingAdaptiveTreeClassifier

from schemas.errors import InvalidRecord
from streams.learning import Learning, new_model
from streams.model_codec import MAX_MODEL_BYTES, decode_model, encode_model

LEARNING = Learning(grace_period=30, delta=0.05, tau=0.3)


def trained(count: int, drift_every: int = 1_500) -> Any:
    model: Any = new_model(LEARNING)
    for example in drifting(count, drift_every=drift_every):
        model.learn_one(example.features, example.label)
    return model


@pytest.mark.parametrize("count", [0, 29, 4_000])
def test_read_back_it_learns_on_bit_for_bit(count: int) -> None:
    model: Any = trained(count)
    copy: Any = decode_model(encode_model(model), new_model(LEARNING))
    assert encode_model(copy) == encode_model(model)
    for example in drifting(3_000, drift_every=1_100, seed=2):
        # river adds the shares up in the order of a set, which is not the same in a copy: the last
        # bit of a share may differ, what is learned (below) may not.
        shares = pytest.approx(model.predict_proba_one(example.features), rel=1e-12)
        assert copy.predict_proba_one(example.features) == shares
        model.learn_one(example.features, example.label)
        copy.learn_one(example.features, example.label)
    assert encode_model(copy) == encode_model(model)
    assert model.n_alternate_trees > 0


@settings(deadline=None, max_examples=8)
@given(stops=st.lists(st.integers(1, 300), min_size=1, max_size=4), seed=st.integers(0, 1_000))
def test_written_and_read_at_any_point_it_ends_the_same(stops: list[int], seed: int) -> None:
    plain: Any = new_model(LEARNING)
    stopped: Any = new_model(LEARNING)
    examples = drifting(sum(stops), drift_every=200, seed=seed)
    for stop in stops:
        for _, example in zip(range(stop), examples, strict=False):
            plain.learn_one(example.features, example.label)
            stopped.learn_one(example.features, example.label)
        stopped = decode_model(encode_model(stopped), new_model(LEARNING))
    assert encode_model(stopped) == encode_model(plain)


def test_it_is_small() -> None:
    assert len(encode_model(trained(4_000))) < 200_000


def repacked(change: Callable[[dict[str, Any]], object]) -> bytes:
    state = orjson.loads(zlib.decompress(encode_model(trained(800))))
    change(state)
    return zlib.compress(orjson.dumps(state))


def first_leaf(state: dict[str, Any]) -> dict[str, Any]:
    node = state["root"]
    while node["kind"] == "branch":
        node = node["left"]
    return dict_of(node)


def dict_of(node: Any) -> dict[str, Any]:
    assert isinstance(node, dict)
    return node


ROW_TOTALS = 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s["root"].update(kind="river.tree.Anything"), "kind"),
        (lambda s: s["root"].update(kind="os.system"), "kind"),
        (lambda s: s["root"].pop("threshold"), "threshold"),
        (lambda s: s["root"].update(more=1), "more"),
        (lambda s: s["root"].update(threshold="NaN"), "threshold"),
        (lambda s: s["root"].update(feature="__class__"), "no feature"),
        (lambda s: s["counters"].update(__class__=1), "counters"),
        (lambda s: s["root"]["window"].__setitem__(1, None), "window"),
        (lambda s: s["root"]["window"][6].clear(), "window"),
        (lambda s: s["root"]["window"][6][0].__setitem__(ROW_TOTALS, [1.0]), "buckets"),
        (lambda s: s["root"]["window"][5].__setitem__(0, 2**40), "counter"),
        (lambda s: s["root"]["window"].__setitem__(3, 1e300), "wider"),
        (lambda s: first_leaf(s).update(features={"secret": []}), "no feature"),
        (lambda s: first_leaf(s)["stats"].update(x=[]), "stats"),
    ],
)
def test_what_is_no_model_is_refused(change: Callable[[dict[str, Any]], object], said: str) -> None:
    with pytest.raises(InvalidRecord, match=said):
        decode_model(repacked(change), new_model(LEARNING))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not compressed",
        zlib.compress(b"not json"),
        zlib.compress(b"[" * 100_000),
        zlib.compress(b'{"a":' * 5_000 + b"1" + b"}" * 5_000),
        encode_model(trained(100))[:-5],
        encode_model(trained(100)) + b"more",
        zlib.compress(b"\0" * (MAX_MODEL_BYTES + 1)),
    ],
    ids=["empty", "raw", "not json", "deep", "deep objects", "cut off", "more", "too large"],
)
def test_bytes_that_are_no_model_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidRecord, match="model"):
        decode_model(data, new_model(LEARNING))


def test_a_river_that_keeps_something_else_is_noticed() -> None:
    model: Any = trained(800)
    model._root.something_new = 1
    with pytest.raises(InvalidRecord, match="pinned"):
        encode_model(model)


def test_bootstrap_sampling_is_refused() -> None:
    with pytest.raises(InvalidRecord, match="bootstrap"):
        encode_model(HoeffdingAdaptiveTreeClassifier(seed=1))
