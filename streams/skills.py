"""`practise`: skill scores in a course, of the six skills practised latest."""

from __future__ import annotations

from datetime import datetime

from schemas.engagement import SKILLS_WINDOW, Engagement
from streams.topics import add_score, without


def practise(draft: Engagement, skill: str, score: float, at: datetime) -> None:
    """``skill_scores`` = 10 · Σ score / count of the graded answers under the skill, 0–10.

    ``draft`` is the fold's own copy. Beyond six skills the one practised least recently is
    forgotten with its count, a late answer on an older one leaves no trace.
    """
    times = draft.skill_recency
    second = int(at.timestamp())
    if second > times.get(skill, second - 1):
        draft.skill_recency = times = {**times, skill: second}
    if len(times) > SKILLS_WINDOW:
        oldest = min(times, key=lambda name: (times[name], name))
        draft.skill_recency = without(times, oldest)
        draft.skill_tallies = without(draft.skill_tallies, oldest)
        draft.skill_scores = without(draft.skill_scores, oldest)
        if oldest == skill:
            return
    tally = add_score(draft.skill_tallies.get(skill), score)
    draft.skill_tallies = {**draft.skill_tallies, skill: tally}
    draft.skill_scores = {**draft.skill_scores, skill: 10 * (tally.score_sum / tally.count)}
