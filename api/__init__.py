"""The HTTP service with each learner's latest decision, for services that hold a key."""
