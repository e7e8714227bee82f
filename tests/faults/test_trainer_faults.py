"""The trainer killed: it learns each example once; and what it learned twice or never is found."""

from __future__ import annotations

import asyncio
import os
import time

from faults.catalogue import TRAINER_KILLED
from faults.fault import on_fresh_topics
from faults.trainer_fault import (
    Examples,
    compare_with_uninterrupted,
    keeping_often,
    learn_the_rest,
)
from schemas.fields import TREE_IDS

SEED = int(os.environ.get("FAULT_SEED", "7"))


def test_killed_three_times_it_learns_each_example_once(kafka_bootstrap: str) -> None:
    outcome = TRAINER_KILLED.run(kafka_bootstrap, 3, SEED, progress=print)
    print(outcome.compared.events, outcome.notes)
    outcome.compared.assert_exact()
    assert outcome.notes["versions"] >= 3


def test_an_example_too_many_or_too_few_is_found(kafka_bootstrap: str) -> None:
    settings = keeping_often(on_fresh_topics(kafka_bootstrap))
    with Examples(kafka_bootstrap, SEED) as examples:
        time.sleep(2)
    asyncio.run(learn_the_rest(settings, sum(map(len, examples.sent.values()))))
    compare_with_uninterrupted(settings, examples.sent).assert_exact()
    sent = examples.sent[TREE_IDS[0]]
    last = sent.pop()
    assert compare_with_uninterrupted(settings, examples.sent).doubled
    sent += [last, last]
    assert [one.id for one in compare_with_uninterrupted(settings, examples.sent).lost]
