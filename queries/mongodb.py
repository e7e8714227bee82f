"""What is asked of MongoDB: a learner's journey, a learner across courses, whose confidence falls,
and whole conversations.

``database`` is ``sinks.mongodb.connect``'s. A state comes as it stands in `schemas.engagement` and
`schemas.behavior`: names as the LMS told them, times in UTC, whole milliseconds.
"""

from __future__ import annotations

from statistics import fmean
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from queries.answers import FALLING, HOLDS, FallingConfidence
from sinks import mongodb_transcripts
from sinks.mongodb import mongodb_errors
from sinks.mongodb_documents import COLLECTIONS, Document, state_of

_BEHAVIOR, _ENGAGEMENT = COLLECTIONS["behavior"], COLLECTIONS["engagement"]


async def course_journey(
    database: AsyncDatabase[Document], user_id: str, course_id: str
) -> dict[str, Any] | None:
    """The learner's engagement with a course (source, section 3); ``None`` if there is none.

    Raises:
        StoreUnavailable: nobody answers.
    """
    with mongodb_errors(database):
        found = await database[_ENGAGEMENT.name].find_one({"_id": f"{user_id.lower()}|{course_id}"})
    return None if found is None else state_of(_ENGAGEMENT, found)


async def journeys_of(database: AsyncDatabase[Document], user_id: str) -> list[dict[str, Any]]:
    """The learner's engagement with every course, by ``course_id``.

    Raises:
        StoreUnavailable: nobody answers.
    """
    with mongodb_errors(database):
        found = database[_ENGAGEMENT.name].find({"user_id": user_id.lower()}).sort("course_id")
        return [state_of(_ENGAGEMENT, document) async for document in found]


async def learner_across_courses(
    database: AsyncDatabase[Document], user_id: str
) -> dict[str, Any] | None:
    """The learner's behaviour across courses (source, section 2); ``None`` if there is none.

    Raises:
        StoreUnavailable: nobody answers.
    """
    with mongodb_errors(database):
        found = await database[_BEHAVIOR.name].find_one({"_id": user_id.lower()})
    return None if found is None else state_of(_BEHAVIOR, found)


async def falling_confidence(
    database: AsyncDatabase[Document], course_id: str | None = None
) -> list[FallingConfidence]:
    """Learners whose confidence falls while scores hold, in one course or all, steepest first.

    The server gives those with an answer and a falling topic, and of them the four fields needed;
    the means are taken here.

    Raises:
        StoreUnavailable: nobody answers.
    """
    # No mean is below zero without a value below zero.
    falling: Document = {
        "attempts": {"$gt": 0},
        "confidence_score_trends.trend_value": {"$lt": 0},
    }
    if course_id is not None:
        falling["course_id"] = course_id
    fields = {
        "user_id": 1,
        "course_id": 1,
        "confidence_score_trends.trend_value": 1,
        "quiz_attempts.score": 1,
        "attempts": 1,
        "score_sum": 1,
    }
    with mongodb_errors(database):
        found = database[_ENGAGEMENT.name].find(falling, fields)
        answers = [_confidence(document) async for document in found if document["quiz_attempts"]]
    return sorted(
        (
            one
            for one in answers
            if one.confidence_trend <= FALLING and one.recent_score >= one.objective_score - HOLDS
        ),
        key=lambda one: (one.confidence_trend, one.user_id, one.course_id),
    )


def _confidence(document: Document) -> FallingConfidence:
    return FallingConfidence(
        document["user_id"],
        document["course_id"],
        confidence_trend=fmean(one["trend_value"] for one in document["confidence_score_trends"]),
        recent_score=fmean(one["score"] for one in document["quiz_attempts"]),
        objective_score=document["score_sum"] / document["attempts"],
    )


async def transcript(
    database: AsyncDatabase[Document], user_id: str, session_id: str
) -> list[dict[str, Any]]:
    """A whole conversation, message by message; [] if there is none.

    Raises:
        StoreUnavailable: nobody answers.
    """
    with mongodb_errors(database):
        session = {"session": f"{user_id.lower()}/{session_id}"}
        parts = database[mongodb_transcripts.COLLECTION].find(session).sort("part")
        return [message async for part in parts for message in part["messages"]]
