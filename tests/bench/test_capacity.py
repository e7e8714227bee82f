"""Each formula by hand with round costs, what must hold for any load, and the page in step."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.capacity import (
    NATIONAL,
    PLANET,
    Disk,
    Load,
    Store,
    Workers,
    brokers,
    core_events_per_s,
    cycle_seconds,
    disk,
    facilitators,
    folded,
    log_bytes_per_event,
    sizing,
    state,
    state_of_a_learner,
    stores,
    trainer_utilisation,
    transaction_wait_ms,
    workers,
    written_bytes_per_event,
)
from bench.capacity_report import PAGE, with_tables
from bench.capacity_tables import tables
from bench.measured_costs import KINDS, measured_costs, sources

ROUND = replace(
    measured_costs(),
    step_us_per_event=150,
    disk_us_per_event=50,
    miss_us_per_event=150,
    worker_us_per_event=50,
    worker_us_per_transaction=2_000,
    transaction_wait_ms=3,
    replicated_transaction_wait_ms=8,
    base_memory_bytes=100e6,
    memory_bytes_per_record=100,
    decoded_bytes_per_value=10_000,
    restore_records_per_s=100_000,
    restore_bytes_per_s=1e9,
    profile_bytes=1_000,
    behavior_bytes=2_000,
    engagement_bytes=5_000,
    seen_page_bytes=40,
    seen_bytes_per_event=8,
    event_bytes=240,
    changelog_bytes_per_event=8_000,
    compression=4,
    decisions_per_event=0.5,
    strategies_per_event=0.25,
    decision_bytes=3_940,
    delivery_bytes=1_940,
    examples_per_event=0.2,
    example_bytes=940,
    learn_us_per_example=250,
    broker_us_per_event=200,
    broker_us_per_transaction=2_500,
    facilitator_us_per_delivery=100,
    postgres_rows_per_s=10_000,
    mongodb_rows_per_s=5_000,
    clickhouse_rows_per_s=20_000,
    redis_rows_per_s=15_000,
    elasticsearch_rows_per_s=5_000,
    clickhouse_bytes_per_row=100,
    elasticsearch_bytes_per_row=600,
    record_overhead_bytes=60,
    follower_share_of_broker_cpu=0.5,
    broker_cores=8,
    broker_write_bytes_per_s=250e6,
    broker_disk_bytes=1e12,
    broker_partition_copies=1_000,
)
LOAD = Load("by hand", 864_000, 8_000, 100, 4, replication=3, retention_days=10)
"""1,000 events/s of the LMS on average, 8,000 at the peak, which are 10,000 folded."""
PLAN = Workers(
    partitions=12, needed=4, processes=4, utilisation=0.5, transactions_per_s=12 / 0.0125
)


def test_an_acknowledged_strategy_is_an_event_too() -> None:
    assert folded(ROUND, 8_000) == 10_000


def test_a_core_folds_what_fits_into_a_second() -> None:
    assert core_events_per_s(ROUND) == 5_000  # 150 + 50 µs
    assert core_events_per_s(ROUND.with_state_on_disk()) == 2_500  # and 50 + 150 for the disk


def test_a_cycle_by_hand() -> None:
    """2 ms of core and 8 ms of wait for each batch; half of the core goes into events."""
    assert cycle_seconds(ROUND, 2_500, 1, 0.008) == pytest.approx(0.010 / 0.5)
    assert cycle_seconds(ROUND, 2_500, 4, 0.008) == pytest.approx(4 * 0.002 / 0.5)
    assert cycle_seconds(ROUND, 2_500, 2, 0.008) == pytest.approx(0.010 / 0.75)
    with pytest.raises(ValueError, match="more than a core folds"):
        cycle_seconds(ROUND, 5_000, 1, 0.008)


def test_workers_by_hand() -> None:
    """10,000/s at 2,500 each; 3 partitions of 833/s each: (2 + 8) / (1 - 1/6) = 12 ms."""
    found = workers(ROUND, LOAD)
    assert found[:4] == (12, 4, 4, 0.5)
    assert found.transactions_per_s == pytest.approx(12 / 0.012)


def test_workers_are_a_divisor_of_partitions() -> None:
    """5 need 15 partitions, so 24, which 5 cannot share evenly: 6."""
    assert workers(ROUND, replace(LOAD, events_per_s=8_001))[:3] == (24, 5, 6)


def test_copies_make_a_transaction_wait() -> None:
    assert [transaction_wait_ms(ROUND, copies) for copies in (1, 3)] == [3, 8]


def test_state_by_hand() -> None:
    """125 events a day: 45 pages of one a day, 45 x 125 ids; 6 values."""
    bytes_, records = state_of_a_learner(ROUND, LOAD)
    assert bytes_ == 1_000 + 2_000 + 4 * 5_000 + 45 * 40 + 45 * 125 * 8 == 69_800
    assert records == 6 + 45
    found = state(ROUND, LOAD, PLAN)
    assert found.bytes == 864_000 * 69_800
    assert found.memory_bytes == 100e6 + 216_000 * (69_800 + 51 * 100 + 6 * 10_000)
    assert found.memory_bytes_on_disk == 100e6 + 3 * 3 * 4_000 * 10_000
    assert found.restore_seconds == pytest.approx(216_000 * 51 / 100_000 / 0.8)


def test_a_learner_who_does_more_has_more_pages() -> None:
    twice = replace(LOAD, events_per_learner_per_day=200)  # 250 ids a day: two pages
    assert state_of_a_learner(ROUND, twice)[1] == 6 + 2 * 45


def test_few_learners_are_all_decoded_on_disk_too() -> None:
    few = replace(LOAD, learners=400)
    assert state(ROUND, few, PLAN).memory_bytes_on_disk == 100e6 + 100 * 6 * 10_000


def test_what_an_event_leaves_by_hand() -> None:
    made = (4_000 + 3 * (1_940 + 60)) / 4
    assert log_bytes_per_event(ROUND) == 1.25 * 300 + 0.5 * (made + 300) == 1_775
    changelogs = 1.25 * 8_000 + 0.5 * (1_940 + 2 * 60)
    assert written_bytes_per_event(ROUND) == 1_775 + (changelogs + 0.2 * 1_000) / 4 == 4_582.5


def test_disk_by_hand() -> None:
    """12 x 4 open segments of 64 MB would be more than 1,250/s x 2 kB in ten minutes."""
    opened = 1_250 * 2_000 * 600
    assert disk(ROUND, LOAD, 12) == pytest.approx(
        Disk(
            changelog_bytes=3 * (864_000 * (23_000 / 4 + 46_800) / 0.8 + opened),
            changelog_written_bytes_per_day=3 * 1_250 * 2_000 * 86_400,
            log_bytes=3 * 1_000 * 1_775 * 86_400 * 10,
        )
    )


def test_brokers_by_hand() -> None:
    found = brokers(ROUND, LOAD, PLAN)
    # 10,000/s x 200 µs are 2 cores; 2 x 960/s x 2.5 ms are 4.8; x (1 + 2 x 0.5), of 4 each
    assert found.by_cpu == 3
    assert found.by_write == 1  # 8,000/s x 4,582 x 3 = 110 MB/s of 250
    assert found.by_disk == 10  # 0.17 TB of changelogs, 4.6 of log, of 0.5 each
    assert found.by_partition_copies == 1  # 14 topics x 12 x 3 = 504
    assert found.needed == 10


def test_there_are_as_many_brokers_as_copies() -> None:
    small = replace(LOAD, learners=1_000, events_per_s=10)
    assert brokers(ROUND, small, workers(ROUND, small)).needed == 3


def test_facilitators_and_trainer_by_hand() -> None:
    assert facilitators(ROUND, LOAD) == 2  # 4,000/s x 100 µs x 2 / 0.5 = 1.6
    assert trainer_utilisation(ROUND, 8_000) == pytest.approx(8_000 * 0.2 * 250e-6)


def test_stores_by_hand() -> None:
    found = stores(ROUND, LOAD)
    a_day = 1_000 * 86_400
    assert found["PostgreSQL"] == (22_000, 2.75 * a_day, 3, 2_940 * a_day)
    assert found["MongoDB"] == Store(20_000, 2.5 * a_day, 4, 0)
    assert found["ClickHouse"] == (10_000, 1.25 * a_day, 1, 125 * a_day)
    assert found["Redis"] == (12_000, 1.5 * a_day, 1, 0)
    assert found["Elasticsearch"] == (10_000, 1.25 * a_day, 2, 750 * a_day)


def test_a_planet_is_cut_until_no_cell_is_larger_than_a_nation() -> None:
    cells = PLANET.cells_of(NATIONAL)
    cell = PLANET.divided(cells)
    assert cells == 100
    assert cell.learners <= NATIONAL.learners
    assert cell.events_per_s <= NATIONAL.events_per_s
    busy = replace(PLANET, learners=1, events_per_s=50_000)
    assert busy.cells_of(NATIONAL) == 3


LOADS = st.builds(
    Load,
    st.just("any"),
    st.integers(1, 10**8),
    st.floats(1, 1e6),
    st.floats(0.1, 500),
    st.floats(0, 50),
    st.sampled_from([1, 3]),
    st.floats(0.1, 400),
)
MORE = ("learners", "events_per_s", "events_per_learner_per_day", "courses_per_learner")


@given(LOADS, st.sampled_from(MORE), st.integers(2, 5))
def test_more_never_needs_less(load: Load, what: str, times: int) -> None:
    less = sizing(ROUND, load)
    more = sizing(ROUND, replace(load, **{what: getattr(load, what) * times}))
    assert more.folded_per_s >= less.folded_per_s
    assert more.workers.needed >= less.workers.needed
    assert more.workers.partitions >= less.workers.partitions
    assert more.workers.processes >= less.workers.processes
    assert more.state.bytes >= less.state.bytes
    assert more.disk.log_bytes >= less.disk.log_bytes
    assert more.disk.changelog_bytes >= less.disk.changelog_bytes
    assert more.brokers.by_write >= less.brokers.by_write
    assert more.brokers.by_disk >= less.brokers.by_disk
    assert more.facilitators >= less.facilitators
    for store, plan in less.stores.items():
        assert more.stores[store].processes >= plan.processes


@given(LOADS)
def test_no_plan_uses_more_than_it_may(load: Load) -> None:
    found = sizing(ROUND, load).workers
    assert found.needed <= found.processes <= found.partitions
    assert found.partitions % found.processes == 0
    assert found.partitions >= 3 * found.needed
    assert found.utilisation <= 0.5 + 1e-9


def test_every_figure_says_what_it_is_and_where_from() -> None:
    found = sources()
    assert len(found) > 30
    assert {source.kind for source in found.values()} == set(KINDS)
    assert all(len(source.text) > 5 for source in found.values())


def test_a_slower_machine_needs_longer_for_all_that_takes_time() -> None:
    slow = ROUND.slower(2)
    assert core_events_per_s(slow) == 2_500
    assert (slow.worker_us_per_transaction, slow.transaction_wait_ms) == (4_000, 6)
    assert slow.event_bytes == ROUND.event_bytes


def test_the_page_has_the_tables_that_the_code_makes() -> None:
    page = PAGE.read_text()
    assert with_tables(page, tables(measured_costs())) == page, (
        "stale: run `python -m bench.capacity_report --page`"
    )


def test_a_table_without_a_place_is_told() -> None:
    page = "<!-- table: a -->\nold\n<!-- end -->\n"
    assert with_tables(page, {"a": "new\n"}) == "<!-- table: a -->\n\nnew\n\n<!-- end -->\n"
    with pytest.raises(ValueError, match="places"):
        with_tables(page, {"a": "new\n", "b": "more\n"})
