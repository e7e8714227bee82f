"""Room for what comes later: the delivery log and summaries of chats."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

_DELIVERIES = """
CREATE TABLE deliveries (
    delivery_id UUID PRIMARY KEY,
    decision_id UUID NOT NULL,
    user_id UUID NOT NULL,
    decision_tree_id TEXT NOT NULL
        CHECK (decision_tree_id IN ('primary_classification', 'intervention_strategy')),
    strategy_label TEXT NOT NULL,
    llm_prompt_summary TEXT NOT NULL,
    delivery_timestamp TIMESTAMPTZ NOT NULL,
    response_status TEXT CHECK (response_status IN ('success', 'fail', 'timeout')),
    latency_ms DOUBLE PRECISION NOT NULL CHECK (latency_ms >= 0),
    cache_hit BOOLEAN NOT NULL,
    trace_id TEXT CHECK (length(trace_id) = 32),
    event_source TEXT NOT NULL CHECK (event_source IN
        ('onboarding', 'quiz_submit', 'topic_change', 'label_change', 'every_event'))
);
COMMENT ON COLUMN deliveries.response_status IS 'NULL until it was acknowledged or timed out';
CREATE INDEX deliveries_to_learner ON deliveries (user_id, delivery_timestamp);
CREATE INDEX deliveries_of_decision ON deliveries (decision_id);
"""

_CHAT_SUMMARIES = """
CREATE TABLE chat_summaries (
    user_id UUID,
    session_id TEXT,
    started_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ CHECK (ended_at >= started_at),
    messages INTEGER NOT NULL CHECK (messages >= 0),
    summary TEXT NOT NULL,
    PRIMARY KEY (user_id, session_id)
);
"""


def upgrade() -> None:
    op.execute(_DELIVERIES)
    op.execute(_CHAT_SUMMARIES)
