"""Whatever a name holds, it comes out as one short quoted word that says what it can."""

from __future__ import annotations

import unicodedata

import pytest
from generated.figures import HOSTILE_NAMES, names
from hypothesis import example, given
from hypothesis import strategies as st

from streams.quoted_names import LONGEST_QUOTED, MAX_NAME_CHARACTERS, quoted


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("quadratic-equations", '"quadratic-equations"'),
        ("Unit 3: roots (a/b), x+1;", '"Unit 3: roots (a/b), x+1;"'),
        ("Übung №1", '"Übung _1"'),
        ("गणित का परिचय", '"गणित का परिचय"'),
        ("二次方程式", '"二次方程式"'),
        ("Newton's laws", '"Newton_s laws"'),
        ('a"b', '"a_b"'),
        ("a\nb", '"a_b"'),
        ("  a   b ", '"a b"'),
        ("{topic} 100%", '"_topic_ 100_"'),
        ("a\u202eb\u200bc", '"a_b_c"'),
        ("a\ufe0fb\u3164c\U000e0100", '"a_b_c_"'),
        ("<b>`x`</b>", '"_b__x__/b_"'),
        ("", '"_"'),
        ("   ", '"_"'),
        ("x" * 60, '"' + "x" * 60 + '"'),
        ("x" * 61, '"' + "x" * 60 + '…"'),
        ("…", '"_"'),
    ],
)
def test_by_example(name: str, shown: str) -> None:
    assert quoted(name) == shown


@given(names() | st.text(max_size=2_000))
@example("".join(HOSTILE_NAMES))
def test_nothing_in_a_name_can_end_its_quotes_or_hide(name: str) -> None:
    shown = quoted(name)
    assert shown[0] == shown[-1] == '"'
    assert len(shown) <= LONGEST_QUOTED
    inside = shown[1:-1]
    assert inside
    for char in inside.removesuffix("…"):
        assert char in " _.,:;/+()-" or unicodedata.category(char)[0] in "LMN", hex(ord(char))
    assert ("…" in inside) == (len(name) > MAX_NAME_CHARACTERS)
    assert inside == " ".join(inside.split())


@given(names())
def test_a_name_already_plain_stays_as_it_is(name: str) -> None:
    once = quoted(name)[1:-1].removesuffix("…")
    assert quoted(once) == f'"{once}"'
