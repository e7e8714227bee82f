"""A decision in words, letter by letter, and what would have to change for another one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from example_learners.algebra import PROFILE, USER, engagement, features, quiz
from msgspec.structs import replace

from config.seed_trees import seed_trees
from schemas.decision import Condition, Decision
from schemas.tree import Branch, Leaf, Retraining, TreeDocument
from streams.decide import decide
from streams.explanation import explain, sentence
from streams.rules import Rules
from streams.scoring import CompiledTree, compile_tree, compile_trees
from streams.wording import Asked, bound

SEEDS = compile_trees(seed_trees())


def tree(*nodes: Branch | Leaf) -> CompiledTree:
    return compile_tree(
        TreeDocument(
            tree_id="primary_classification",
            version=3,
            author="trainer",
            reason="the challenger was better: 0.71 against 0.64",
            created_at=datetime(2026, 3, 1, tzinfo=UTC),
            retraining_logs=Retraining(
                datetime(2026, 2, 28, tzinfo=UTC), ("split on retry_rate",), 450
            ),
            nodes=nodes,
        )
    )


def decided(by: CompiledTree, values: tuple[float, ...]) -> Decision:
    labels = {"primary_classification": "Steady Achiever"}
    trees = {**SEEDS, "primary_classification": by}
    return decide(quiz(0.5), PROFILE, engagement(labels=labels), values, trees, Rules())[1][0]


LEARNED = tree(
    Branch(rule_id="score", feature="recent_score", threshold=0.5, left=1, right=6),
    Branch(rule_id="retries", feature="retry_rate", threshold=0.75, left=2, right=5),
    Branch(rule_id="answers", feature="attempts", threshold=2.5, left=3, right=4),
    Leaf(rule_id="unknown", distribution={"Steady Achiever": 1}),
    Leaf(
        rule_id="novice",
        distribution={"Struggling Novice": 6, "Persistent Striver": 3, "Disengaging Learner": 1},
    ),
    Leaf(rule_id="striver", distribution={"Persistent Striver": 1}),
    Leaf(rule_id="steady", distribution={"Steady Achiever": 1}),
)


def test_a_few_lines_for_an_instructor() -> None:
    values = features(recent_score=0.4, retry_rate=0.5, attempts=12)
    assert explain(decided(LEARNED, values), LEARNED) == (
        f"Learner {USER} in algebra, 2026-03-01 10:00 UTC (quiz.submitted)\n"
        "Struggling Novice: 60%, Persistent Striver 30%, Disengaging Learner 10%, "
        "before Steady Achiever\n"
        "Because\n"
        "  mean score of the latest five graded answers: 0.40, at most 0.5 (score)\n"
        "  retries per graded answer: 0.50, at most 0.75 (retries)\n"
        "  graded answers in the course: 12, above 2 (answers)\n"
        "By primary_classification version 3, made 2026-03-01 by trainer: "
        "the challenger was better: 0.71 against 0.64\n"
        "Learned from 450 examples up to 2026-02-28 (split on retry_rate)\n"
        "It would be Steady Achiever with mean score of the latest five graded answers above 0.5 "
        "instead of 0.40."
    )


@pytest.mark.parametrize(
    ("values", "last_line"),
    [
        # 0.375 from 0.5, where a retry rate of 0.5 is 0.25 from 0.75 (an open-ended range)
        (
            features(recent_score=0.125, retry_rate=0.5, attempts=12),
            "It would be Persistent Striver with retries per graded answer above 0.75 "
            "instead of 0.50.",
        ),
        # above 0.5 nothing else was asked
        (
            features(recent_score=0.75, attempts=12),
            "It would be Struggling Novice with mean score of the latest five graded answers "
            "at most 0.5 instead of 0.75.",
        ),
    ],
)
def test_the_nearest_change_that_matters(values: tuple[float, ...], last_line: str) -> None:
    assert explain(decided(LEARNED, values), LEARNED).splitlines()[-1] == last_line


def test_where_no_single_change_matters() -> None:
    same = tree(
        Branch(rule_id="score", feature="recent_score", threshold=0.5, left=1, right=2),
        Leaf(rule_id="low", distribution={"Fast Tracker": 1}),
        Leaf(rule_id="high", distribution={"Fast Tracker": 2}),
    )
    last = explain(decided(same, features()), same).splitlines()[-1]
    assert last == "No single one of these conditions would change the label."


def test_a_flip_out_of_the_range_is_not_proposed() -> None:
    bounded = tree(
        Branch(rule_id="score", feature="recent_score", threshold=1.0, left=1, right=2),
        Leaf(rule_id="all", distribution={"Fast Tracker": 1}),
        Leaf(rule_id="none", distribution={"Steady Achiever": 1}),
    )
    last = explain(decided(bounded, features()), bounded).splitlines()[-1]
    assert last == "No single one of these conditions would change the label."


def test_a_tree_of_one_leaf() -> None:
    only = tree(Leaf(rule_id="only", distribution={"Overconfident Learner": 1}))
    decision = decided(only, features())
    assert decision.llm_prompt_output == (
        "The learner looks like an Overconfident Learner (100% by tree version 3), "
        "whatever the figures."
    )
    assert "  no condition\n" in explain(decision, only)


def test_outside_a_course_and_for_the_first_time() -> None:
    values = features(recent_score=0.75)
    decision = replace(decided(LEARNED, values), course_id="", previous_label="")
    lines = explain(decision, LEARNED).splitlines()
    assert lines[0] == f"Learner {USER}, 2026-03-01 10:00 UTC (quiz.submitted)"
    assert lines[1] == "Steady Achiever: 100%"


def test_a_sentence_from_a_record_alone() -> None:
    path = (
        Condition("a", "confidence_gap", 0.1, "<=", 0.25),
        Condition("b", "learner_level", 2.0, ">", 1.5),
        Condition("c", "confidence_gap", 0.1, ">", -0.25),
        Condition("d", "confidence_gap", 0.1, "<=", 0.125),
        Condition("e", "confidence_gap", 0.1, "<=", 0.2),
    )
    assert sentence("intervention_strategy", "Enrichment Challenge", 0.625, 2, path) == (
        "The advice is Enrichment Challenge (62% by tree version 2): "
        "confidence less score 0.10 (above -0.25 and at most 0.125), "
        "learner level 2 (above 1)."
    )


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Asked("recent_score", "<=", 0.45), "at most 0.45"),
        (Asked("recent_score", ">", 0.45678), "above 0.457"),
        (Asked("hours_since_previous", ">", 336.0), "above 336"),
        (Asked("hours_since_previous", ">", 0.0), "above 0"),
        (Asked("score_trend", "<=", -0.0301), "at most -0.0301"),
        (Asked("attempts", "<=", 2.5), "at most 2"),
        (Asked("attempts", ">", 2.0), "above 2"),
        (Asked("attempts", ">", 100.0), "above 100"),
    ],
)
def test_bounds(asked: Asked, words: str) -> None:
    assert bound(asked) == words
