"""A call stack is in one stage; what is counted of a stage is the same each time."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from bench.meters import Opcodes, Stopwatch, opcodes
from bench.stage_profile import table_of, worker_stages
from bench.stages import STAGES, stage_of
from bench.step_borders import BORDERS, MEASURED, bordered, metered
from bench.step_instructions import by_stage, step_instructions
from bench.step_work import class_work, do, fresh
from bench.valgrind import valgrind_works

WORKER = [
    ("/app/agents/partition_owner.py", "handle"),
    ("/app/agents/learner.py", "_fold_lists"),
    ("/usr/lib/python3.11/asyncio/events.py", "_run"),
]
STEP = [("/app/streams/step.py", "step"), ("/app/streams/batch.py", "_fold"), *WORKER]


@pytest.mark.parametrize(
    ("innermost", "stage"),
    [
        pytest.param(
            [("/app/streams/topics.py", "grade"), ("/app/streams/engagement.py", "_answered")],
            "engagement",
            id="shared-code-belongs-to-its-caller",
        ),
        pytest.param(
            [
                ("/app/schemas/contract.py", "_fields"),
                ("/app/streams/behavior.py", "fold_behavior"),
            ],
            "behaviour",
            id="copying-a-state-is-no-encoding",
        ),
        pytest.param([("/app/streams/scoring.py", "score")], "trees", id="scoring"),
        pytest.param(
            [
                ("/app/streams/scoring.py", "path"),
                ("/app/streams/decide.py", "_decision"),
                ("/app/streams/decide.py", "decide"),
            ],
            "decisions",
            id="a-path-is-part-of-its-decision",
        ),
        pytest.param(
            [("/app/streams/decide.py", "decision_point"), ("/app/streams/hindsight.py", "x")],
            "settle",
            id="asked-by-another-stage",
        ),
        pytest.param([("/app/streams/step.py", "reject_too_late")], "guard", id="too-late"),
        pytest.param([], "step", id="between-the-stages"),
    ],
)
def test_the_innermost_frame_that_has_a_stage_tells_it(
    innermost: list[tuple[str, str]], stage: str
) -> None:
    assert stage_of([*innermost, *STEP]) == stage


@pytest.mark.parametrize(
    ("innermost", "stage"),
    [
        (
            [("/app/schemas/contract.py", "encode"), ("/app/agents/partition_owner.py", "_x")],
            "encode",
        ),
        ([("/lib/aiokafka/producer/sender.py", "_send")], "send"),
        ([("/lib/faust/streams.py", "events")], "faust"),
        ([("/app/agents/metrics_worker.py", "committed")], "other"),
        ([], "other"),
    ],
)
def test_around_the_step(innermost: list[tuple[str, str]], stage: str) -> None:
    assert stage_of([*innermost, *WORKER]) == stage


def test_a_loop_that_runs_nothing_of_ours_is_the_loop_itself() -> None:
    assert stage_of([("/usr/lib/python3.11/selectors.py", "select"), WORKER[-1]]) == "loop"
    assert stage_of([("<string>", "<module>")]) == "other"


def test_the_borders_of_the_step_and_the_stacks_name_the_same_stages() -> None:
    """But for the two that only the benchmark has."""
    for place, name, stage in BORDERS:
        code = getattr(place, name).__code__
        if name != "encode_batch":
            assert stage_of([(code.co_filename, code.co_name)]) == stage
    assert set(MEASURED) < set(STAGES)


def test_bytecode_is_counted_alike_each_time_and_stages_are_all_there() -> None:
    work = class_work(before=300, events=60)
    do(fresh(work))
    first = opcodes(work)
    assert opcodes(work) == first
    assert list(first) == list(MEASURED)
    assert all(first.values())


def test_borders_are_taken_down_again() -> None:
    before = [getattr(place, name) for place, name, _ in BORDERS]
    with metered(Stopwatch()):
        assert all(getattr(place, name) not in before for place, name, _ in BORDERS)
    assert [getattr(place, name) for place, name, _ in BORDERS] == before


def test_a_stage_has_no_part_in_what_is_entered_from_it() -> None:
    meter = Opcodes()
    inner = bordered(lambda: [x for x in (1, 2, 3)], "trees", meter)  # noqa: C416
    outer = bordered(lambda: [inner()], "decisions", meter)
    with meter.counting():
        outer()
    alone = meter.counts["decisions"]
    assert meter.counts["trees"] > alone > 0
    with meter.counting():
        inner()
    assert meter.counts["decisions"] == alone


def test_crossings_are_taken_out_of_what_was_counted() -> None:
    counted = {"entered": 2_000, "left_for_another": 4_000, "all": 1_000}
    counted |= {"decisions": 700, "trees": 110}
    crossed = {"decisions": [1, 2], "trees": [2, 0]}
    found = by_stage(counted, crossed, events=10)
    assert found == {"decisions": 65.0, "trees": 9.0, "other": 26.0}


@pytest.mark.skipif(not valgrind_works(), reason="needs Valgrind on x86-64")
@pytest.mark.long
def test_instructions_are_counted_alike_each_time() -> None:
    first, second = step_instructions(), step_instructions()
    assert sum(second.values()) == pytest.approx(sum(first.values()), rel=0.005)
    for stage in MEASURED:
        assert second[stage] == pytest.approx(first[stage], rel=0.02)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="is machine code of x86-64")
def test_nothing_is_asked_of_valgrind_where_it_does_not_run() -> None:
    said = "from bench.valgrind import Callgrind; print(Callgrind().runs)"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_workers_time_is_all_shared_out() -> None:
    threads = {"folding": 8.0, "fetching": 1.0, "others": 0.5}
    found = worker_stages({"encode": 1.0, "other": 3.0}, threads, events=1_000_000)
    assert found == {"encode": 2.0, "fetch": 1.0, "other": 6.5}


def test_the_table_has_a_line_for_each_stage_that_there_is() -> None:
    lines = table_of({"a": {"decode": 1.0, "send": 2.0}, "b": {"decode": 0.25}}).splitlines()
    assert [line.split() for line in lines] == [
        ["a", "b"],
        ["decode", "1.0", "0.2"],
        ["send", "2.0"],
        ["all", "3.0", "0.2"],
    ]
