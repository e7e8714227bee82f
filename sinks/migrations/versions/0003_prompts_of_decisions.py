"""What the prompt of a decision was made of; decisions at chat messages."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

_SOURCES = """
    ('onboarding', 'quiz_submit', 'topic_change', 'chat_message', 'label_change', 'every_event')
"""

_DECISIONS = f"""
ALTER TABLE decisions
    ADD COLUMN prompt_version TEXT,
    ADD COLUMN prompt_figures JSONB,
    DROP CONSTRAINT decisions_event_source_check,
    ADD CONSTRAINT decisions_event_source_check CHECK (event_source IN {_SOURCES});
CREATE INDEX decisions_by_trace ON decisions (substr(traceparent, 4, 32));
"""


def upgrade() -> None:
    op.execute(_DECISIONS)
