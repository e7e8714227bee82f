"""Gateway, responder, facilitator and Redis killed in turn while learners talk.

``FAULT_ROUNDS=20 pytest tests/faults/test_chat_faults.py`` kills each of them twenty times.
"""

from __future__ import annotations

import os

from faults.catalogue import GATEWAY_KILLED
from faults.chat_fault import ChatFault

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "1"))
KINDS = ("gateway", "responder", "facilitator", "redis", "redis, and it comes back empty")


def test_killed_in_turn_under_load(kafka_bootstrap: str) -> None:
    in_turn: ChatFault = GATEWAY_KILLED._replace(name="all in turn", kinds=KINDS)
    outcome = in_turn.run(kafka_bootstrap, ROUNDS * len(KINDS), 7, progress=print)
    print(outcome.compared.events, outcome.notes)
    outcome.compared.assert_exact()
