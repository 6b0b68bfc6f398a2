"""Talking to processors. Knows nothing of our refunds' life."""
