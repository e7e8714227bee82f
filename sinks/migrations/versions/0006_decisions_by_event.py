"""Decisions are found by their event, of which a learner's and a day's makes its own ids."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute("CREATE INDEX decisions_by_event ON decisions (event_id)")
