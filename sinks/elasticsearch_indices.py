"""The two indices in Elasticsearch, as data: what each takes, by which id, with which field types.

Interactions are the events as they were told, but for chat; conversations are the chat messages,
each with the labels and decisions in force once it was folded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from config.settings import ElasticsearchSettings
from schemas.topics import CHAT, EVENTS

CHAT_MESSAGE = "chat.message"

Value = Mapping[str, Any]


class Index(NamedTuple):
    """``setting``: which of `ElasticsearchSettings` names the alias. ``fields``: Elasticsearch's
    mapping of each field of a record; another field is refused. ``takes``: of a record's value,
    whether it is kept here. ``id_of``: its ``_id``, the same for the same event told again.
    """

    setting: str
    topic: str
    fields: dict[str, dict[str, Any]]
    takes: Callable[[Value], bool]
    id_of: Callable[[Value], str]

    def alias(self, settings: ElasticsearchSettings) -> str:
        """The name by which it is read and written; the index behind it is ``<alias>-1``."""
        name: str = getattr(settings, self.setting)
        return name

    def properties(self, settings: ElasticsearchSettings) -> dict[str, dict[str, Any]]:
        """``fields`` with the analyzer of what people write."""
        analyzed = {"analyzer": settings.analyzer}
        return {
            name: {**field, **analyzed} if field["type"] == "text" else field
            for name, field in self.fields.items()
        }


def _fields(types: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """From names by type."""
    return {name: {"type": type_} for type_, names in types.items() for name in names.split()}


def interaction_id(event: Value) -> str:
    """The learner, the event's UTC day and its ``event_id``."""
    return f"{event['user_id']}:{event['occurred_at'][:10]}:{event['event_id']}"


def message_id(record: Value) -> str:
    """As of the event that the message came with."""
    return f"{record['user_id']}:{record['timestamp'][:10]}:{record['event_id']}"


INTERACTIONS = Index(
    "index",
    EVENTS,
    _fields(
        {
            "keyword": (
                "type event_id user_id course_id source traceparent "
                "session_id activity_type content_id content_type content_format module_id "
                "topic_id question_id skill_tag objective_tag flagged_type survey_id "
                "flagged_topics result tree_id label assigned_by decision_id strategy_label "
                "class_year learner_purpose format_preference session_preference "
                "ui_theme_preference layout_preference study_mode learner_level"
            ),
            # Microseconds count, so no `date`; from 1970 to 2262, and an event outside is refused.
            "date_nanos": "occurred_at",
            "double": (
                "score final_score confidence duration gpa format_comprehension_score_text "
                "format_comprehension_score_image format_comprehension_score_video"
            ),
            "long": (
                "module_index retries rating previous_attempts age courses_completed "
                "format_comfort_rating_text format_comfort_rating_image "
                "format_comfort_rating_video"
            ),
            "boolean": "hint_used",
            # Its keys are the LMS's: fields of their own had no end.
            "flattened": "confidence_by_topic",
            "text": "text",
        }
    ),
    takes=lambda event: event["type"] != CHAT_MESSAGE,
    id_of=interaction_id,
)

CONVERSATIONS = Index(
    "conversations",
    CHAT,
    _fields(
        {
            "keyword": (
                "event_id user_id session_id course_id message_direction contextual_topic_id "
                "related_skill related_objective feedback_flags searchable_tags responder "
                "in_reply_to source traceparent prompt_version"
            ),
            "date_nanos": "timestamp",
            "boolean": "hint_used",
            "text": "message_text",
            "flattened": "labels decision_ids",
        }
    )
    # Kept to be read, not to be searched.
    | {"prompt": {"type": "keyword", "index": False, "doc_values": False}}
    | {"figures": {"type": "object", "enabled": False}},
    takes=lambda record: True,
    id_of=message_id,
)

INDICES = (INTERACTIONS, CONVERSATIONS)
