"""Learners talking with their tutor: gateway, live queue, responders."""
