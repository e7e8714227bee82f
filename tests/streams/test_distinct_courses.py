"""The sketch of distinct courses: exact for few, close for many, in any order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.behavior import COURSE_SKETCH_SIZE
from streams.distinct_courses import add_course, count_courses


def sketch_of(courses: list[str]) -> tuple[int, ...]:
    sketch: tuple[int, ...] = ()
    for course in courses:
        sketch = add_course(sketch, course)
    return sketch


def test_up_to_nineteen_courses_are_counted_exactly() -> None:
    courses = [f"course-{i}" for i in range(19)]
    assert [count_courses(sketch_of(courses[:n] * 2)) for n in range(20)] == list(range(20))


def test_the_estimate_is_of_the_smallest_hashes() -> None:
    # the 20th smallest of the hashes at a quarter of the range: 19 / (1/4)
    assert count_courses((*range(19), (1 << 22) - 1)) == 76


def test_many_courses_are_estimated_within_what_is_promised() -> None:
    errors = []
    for seed in range(40):
        estimate = count_courses(sketch_of([f"{seed}-{i}" for i in range(200)]))
        errors.append(estimate / 200 - 1)
    rms = (sum(e * e for e in errors) / len(errors)) ** 0.5
    assert 0.12 < rms < 0.36  # 1/√18 = 0.24
    assert abs(sum(errors) / len(errors)) < 0.12


@given(st.lists(st.text(min_size=1, max_size=3), max_size=60), st.randoms())
@settings(max_examples=50, deadline=None)
def test_order_and_repeats_do_not_matter_and_the_count_never_falls(courses, random) -> None:  # type: ignore[no-untyped-def]
    other = courses + courses[:5]
    random.shuffle(other)
    assert sketch_of(other) == sketch_of(courses)
    counts = [count_courses(sketch_of(courses[:n])) for n in range(len(courses) + 1)]
    assert counts == sorted(counts)
    assert len(sketch_of(courses)) <= COURSE_SKETCH_SIZE
