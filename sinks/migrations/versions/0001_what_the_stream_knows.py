"""Profiles, summaries, decision log, tree versions with thresholds, retraining log.

A migration is never edited once it was released: a change is a new one.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

_TREE = "('primary_classification', 'intervention_strategy')"
_FORMAT = "('text', 'image', 'video')"

_PROFILES = f"""
CREATE TABLE learner_profiles (
    user_id UUID PRIMARY KEY,
    age INTEGER CHECK (age BETWEEN 5 AND 120),
    class_year TEXT CHECK (class_year IN
        ('freshman', 'sophomore', 'junior', 'senior', 'graduate', 'other')),
    courses_completed INTEGER CHECK (courses_completed BETWEEN 0 AND 1000),
    gpa DOUBLE PRECISION CHECK (gpa BETWEEN 0 AND 4),
    learner_purpose TEXT CHECK (learner_purpose IN ('scratch', 'revising', 'exploring')),
    format_preference TEXT CHECK (format_preference IN {_FORMAT}),
    format_comfort_rating_text INTEGER CHECK (format_comfort_rating_text BETWEEN 1 AND 5),
    format_comfort_rating_image INTEGER CHECK (format_comfort_rating_image BETWEEN 1 AND 5),
    format_comfort_rating_video INTEGER CHECK (format_comfort_rating_video BETWEEN 1 AND 5),
    format_comprehension_score_text DOUBLE PRECISION
        CHECK (format_comprehension_score_text BETWEEN 0 AND 1),
    format_comprehension_score_image DOUBLE PRECISION
        CHECK (format_comprehension_score_image BETWEEN 0 AND 1),
    format_comprehension_score_video DOUBLE PRECISION
        CHECK (format_comprehension_score_video BETWEEN 0 AND 1),
    session_preference TEXT CHECK (session_preference IN ('short_chunks', 'long_sessions')),
    ui_theme_preference TEXT CHECK (ui_theme_preference IN ('dark', 'light')),
    layout_preference TEXT CHECK (layout_preference IN
        ('single_column', 'two_column', 'grid', 'list', 'compact')),
    study_mode TEXT CHECK (study_mode IN ('solo', 'group')),
    learner_level TEXT CHECK (learner_level IN ('basic', 'intermediate', 'advanced')),
    writing_style_category TEXT NOT NULL CHECK (writing_style_category IN
        ('formal-analytical', 'conversational', 'narrative', 'concise', 'unknown')),
    writing_metrics JSONB CHECK (
        (writing_metrics ->> 'avg_sentence_length')::float8 >= 0
        AND (writing_metrics ->> 'type_token_ratio')::float8 BETWEEN 0 AND 1
        AND (writing_metrics ->> 'pronoun_usage')::float8 BETWEEN 0 AND 1
        AND (writing_metrics ->> 'contractions_count')::numeric >= 0),
    source_offset BIGINT NOT NULL
);
"""

_SUMMARIES = f"""
CREATE TABLE learner_summaries (
    user_id UUID PRIMARY KEY,
    total_courses INTEGER NOT NULL CHECK (total_courses >= 0),
    avg_score DOUBLE PRECISION NOT NULL CHECK (avg_score BETWEEN 0 AND 1),
    dominant_format TEXT CHECK (dominant_format IN {_FORMAT}),
    last_activity_date DATE,
    source_offset BIGINT NOT NULL
);
"""

_DECISIONS = f"""
CREATE TABLE decisions (
    decision_id UUID PRIMARY KEY,
    user_id UUID NOT NULL,
    course_id TEXT NOT NULL,
    "timestamp" TIMESTAMPTZ NOT NULL,
    tree_id TEXT NOT NULL CHECK (tree_id IN {_TREE}),
    input_attributes JSONB NOT NULL,
    decision_label TEXT NOT NULL,
    previous_label TEXT NOT NULL,
    class_distribution JSONB NOT NULL,
    llm_prompt_output TEXT NOT NULL,
    thresholds_at_time JSONB NOT NULL,
    flagged_rules_hit TEXT[] NOT NULL,
    retraining_logs JSONB,
    decision_version INTEGER NOT NULL CHECK (decision_version >= 0),
    event_id UUID NOT NULL,
    event_type TEXT NOT NULL,
    event_source TEXT NOT NULL CHECK (event_source IN
        ('onboarding', 'quiz_submit', 'topic_change', 'label_change', 'every_event')),
    traceparent TEXT
);
CREATE INDEX decisions_of_learner ON decisions (user_id, "timestamp");
CREATE INDEX decisions_over_time ON decisions ("timestamp", tree_id, decision_label);
"""

_TREES = f"""
CREATE TABLE tree_versions (
    tree_id TEXT CHECK (tree_id IN {_TREE}),
    version INTEGER CHECK (version >= 0),
    author TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    pinned BOOLEAN NOT NULL,
    retraining_logs JSONB,
    evaluation JSONB,
    nodes JSONB NOT NULL,
    PRIMARY KEY (tree_id, version)
);
CREATE TABLE tree_thresholds (
    tree_id TEXT,
    version INTEGER,
    node INTEGER NOT NULL CHECK (node >= 0),
    rule_id TEXT,
    feature TEXT NOT NULL,
    threshold DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (tree_id, version, rule_id),
    FOREIGN KEY (tree_id, version) REFERENCES tree_versions ON DELETE CASCADE
);
CREATE TABLE retraining_log (
    tree_id TEXT,
    version INTEGER,
    author TEXT NOT NULL,
    date TIMESTAMPTZ NOT NULL,
    changes_made TEXT[] NOT NULL,
    data_points_used BIGINT NOT NULL CHECK (data_points_used >= 0),
    examples BIGINT CHECK (examples >= 0),
    accuracy_before DOUBLE PRECISION CHECK (accuracy_before BETWEEN 0 AND 1),
    accuracy_after DOUBLE PRECISION CHECK (accuracy_after BETWEEN 0 AND 1),
    PRIMARY KEY (tree_id, version),
    FOREIGN KEY (tree_id, version) REFERENCES tree_versions ON DELETE CASCADE
);
"""

_THRESHOLDS_BY_VERSION = """
CREATE VIEW thresholds_by_version AS
    SELECT tree_id, version, author, reason, created_at, node, rule_id, feature, threshold
    FROM tree_versions JOIN tree_thresholds USING (tree_id, version);
"""


def upgrade() -> None:
    for statements in (_PROFILES, _SUMMARIES, _DECISIONS, _TREES, _THRESHOLDS_BY_VERSION):
        op.execute(statements)
