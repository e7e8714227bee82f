"""The log of deliveries by attempt, summaries of chat sessions, and the prompts that were used.

`deliveries` and `chat_summaries` were made as room for what comes (0002): nothing of ours ever
wrote there, so they are made anew. If somebody else did, nothing is changed and that is said.

When a session goes quiet, nothing happens that could write a row. So `chat_summaries` is the
running summary, current with every message, and the view `chat_session_summaries` says, at the
moment it is asked, whether the session has ended or gone quiet and what came of it. A timer that
writes such rows could be late, lost with its process, or run twice; a view cannot.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"

_TREE = "('primary_classification', 'intervention_strategy')"
_SOURCES = """
    ('onboarding', 'quiz_submit', 'topic_change', 'chat_message', 'label_change', 'every_event')
"""

_EMPTY = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM deliveries) OR EXISTS (SELECT FROM chat_summaries) THEN
        RAISE EXCEPTION 'deliveries or chat_summaries has rows, which no version of this program '
            'wrote: put them elsewhere, then start again';
    END IF;
END
$$;
DROP TABLE deliveries, chat_summaries;
"""

_DELIVERIES = f"""
CREATE TABLE deliveries (
    delivery_id UUID,
    attempt INTEGER CHECK (attempt >= 1),
    decision_id UUID NOT NULL,
    user_id UUID NOT NULL,
    course_id TEXT NOT NULL,
    decision_tree_id TEXT NOT NULL CHECK (decision_tree_id IN {_TREE}),
    decision_version INTEGER NOT NULL CHECK (decision_version >= 0),
    strategy_label TEXT NOT NULL,
    previous_label TEXT NOT NULL,
    llm_prompt_summary TEXT NOT NULL,
    prompt_version TEXT NOT NULL,
    delivery_timestamp TIMESTAMPTZ NOT NULL,
    response_status TEXT NOT NULL CHECK (response_status IN
        ('pending', 'success', 'fail', 'timeout', 'superseded')),
    response_reason TEXT NOT NULL,
    responded_at TIMESTAMPTZ,
    latency_ms DOUBLE PRECISION NOT NULL CHECK (latency_ms >= 0),
    decision_latency_ms DOUBLE PRECISION NOT NULL CHECK (decision_latency_ms >= 0),
    cache_hit BOOLEAN NOT NULL,
    trace_id TEXT NOT NULL CHECK (length(trace_id) = 32),
    traceparent TEXT NOT NULL,
    event_id UUID NOT NULL,
    event_type TEXT NOT NULL,
    event_source TEXT NOT NULL CHECK (event_source IN {_SOURCES}),
    event_at TIMESTAMPTZ NOT NULL,
    source_offset BIGINT NOT NULL,
    PRIMARY KEY (delivery_id, attempt)
);
COMMENT ON COLUMN deliveries.source_offset IS
    'place on facilitator.log of the status that stands here: the newest stays';
CREATE INDEX deliveries_to_learner ON deliveries (user_id, delivery_timestamp);
CREATE INDEX deliveries_of_decision ON deliveries (decision_id);
CREATE INDEX deliveries_by_trace ON deliveries (trace_id);
"""

_CHAT_SUMMARIES = """
CREATE TABLE chat_summaries (
    user_id UUID,
    session_id TEXT,
    course_id TEXT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    last_message_at TIMESTAMPTZ NOT NULL CHECK (last_message_at >= started_at),
    ended_at TIMESTAMPTZ CHECK (ended_at >= started_at),
    messages INTEGER NOT NULL CHECK (messages >= turns + answers),
    turns INTEGER NOT NULL CHECK (turns >= 0),
    answers INTEGER NOT NULL CHECK (answers >= 0),
    hints INTEGER NOT NULL CHECK (hints BETWEEN 0 AND messages),
    topics TEXT[] NOT NULL,
    skills TEXT[] NOT NULL,
    feedback_flags TEXT[] NOT NULL,
    responders TEXT[] NOT NULL,
    with_expert BOOLEAN NOT NULL,
    first_label TEXT,
    last_label TEXT,
    label_changes INTEGER NOT NULL CHECK (label_changes >= 0),
    first_strategy TEXT,
    last_strategy TEXT,
    strategy_changes INTEGER NOT NULL CHECK (strategy_changes >= 0),
    waiting_for UUID,
    last_offset BIGINT NOT NULL,
    PRIMARY KEY (user_id, session_id)
);
COMMENT ON COLUMN chat_summaries.waiting_for IS
    'event_id of the learner''s last message while nobody has answered it';
COMMENT ON COLUMN chat_summaries.last_offset IS
    'place on chat.messages of the last message folded: what stands before it is a repeat';
CREATE INDEX chat_summaries_over_time ON chat_summaries (last_message_at);

CREATE VIEW chat_session_summaries AS
    SELECT user_id, session_id, course_id, state,
        CASE
            WHEN turns = 0 THEN 'no_question'
            WHEN waiting_for IS NULL AND with_expert THEN 'with_expert'
            WHEN waiting_for IS NULL THEN 'answered'
            WHEN state = 'open' THEN 'waiting'
            ELSE 'unanswered'
        END AS outcome,
        started_at, last_message_at, ended_at,
        extract(epoch FROM last_message_at - started_at)::float8 AS duration_seconds,
        messages, turns, answers, hints, topics, skills, feedback_flags, responders, with_expert,
        first_label, last_label, label_changes, first_strategy, last_strategy, strategy_changes
    FROM (
        SELECT *,
            CASE
                WHEN ended_at IS NOT NULL THEN 'ended'
                WHEN last_message_at < now() - INTERVAL '30 minutes' THEN 'quiet'
                ELSE 'open'
            END AS state
        FROM chat_summaries
    ) AS now_so;
"""

_PROMPT_SETS = """
CREATE TABLE prompt_sets (
    version TEXT PRIMARY KEY CHECK (version ~ '^[0-9a-f]{12}$'),
    templates JSONB NOT NULL,
    reading_levels JSONB NOT NULL
);
"""


def upgrade() -> None:
    for statements in (_EMPTY, _DELIVERIES, _CHAT_SUMMARIES, _PROMPT_SETS):
        op.execute(statements)
