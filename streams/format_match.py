"""Does the learner do well with the formats they feel at ease with?"""

from __future__ import annotations

from schemas.engagement import FormatMatch, Tally
from schemas.fields import Format
from schemas.profile import Profile

_COMFORT: tuple[tuple[Format, str], ...] = (
    ("image", "format_comfort_rating_image"),
    ("text", "format_comfort_rating_text"),
    ("video", "format_comfort_rating_video"),
)


def match_formats(
    tallies: dict[Format, Tally], profile: Profile, current: dict[Format, FormatMatch]
) -> dict[Format, FormatMatch]:
    """``format_performance_mismatch``: comfort told and performance shown, both 1–5, of the
    formats for which both are known; ``current`` itself if it is right already.

    performance = 1 + 4 · mean score of the graded answers taught in that format.
    """
    if not tallies:
        return current
    matches: dict[Format, FormatMatch] = {}
    same = True
    for name, attribute in _COMFORT:
        tally = tallies.get(name)
        if tally is None or (comfort := getattr(profile, attribute)) is None:
            continue
        performance = 1 + 4 * (tally.score_sum / tally.count)
        known = current.get(name)
        if known is not None and known.comfort == comfort and known.performance == performance:
            matches[name] = known
        else:
            matches[name] = FormatMatch(float(comfort), performance)
            same = False
    return current if same and len(matches) == len(current) else matches
