"""Names of the topics: what is said where. How each is made on Kafka: ``agents.topics``."""

from __future__ import annotations

EVENTS = "learner.events"
DEAD_LETTERS = "learner.dlq"
SETTLED_LETTERS = "learner.dlq.settled"
DECISIONS = "learner.decisions"
EXAMPLES = "tree.examples"
TREE_VERSIONS = "tree.versions"
ADOPTIONS = "tree.adoptions"
DELIVERIES = "facilitator.decisions"
ACKS = "facilitator.acks"
DELIVERY_LOG = "facilitator.log"
CHAT = "chat.messages"
PROMPT_SETS = "prompt.sets"
PENDING = "pending"
"""The facilitator's table of deliveries that nobody has answered for yet."""
SNAPSHOTS = "tree.snapshots"
TABLES = ("profile", "behavior", "engagement", "seen")


def changelog(app_id: str, table: str) -> str:
    """The changelog topic of a table, named as Faust names it."""
    return f"{app_id}-{table}-changelog"
