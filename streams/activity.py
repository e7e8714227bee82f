"""Which events are the learner's own doing."""

from __future__ import annotations

from schemas.event import BY_OTHERS, LearnerEvent


def is_activity(event: LearnerEvent) -> bool:
    """Whether the learner did something.

    Not so: a label that a person assigns, a strategy that a service has taken (its clock may be
    years ahead of the events of an old log), a chat message of the tutor. They say nothing of when
    and how much the learner works, and do not end a silence.
    """
    if event.type == "chat.message":
        return event.message_direction == "user"
    return event.type not in BY_OTHERS
