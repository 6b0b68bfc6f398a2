"""Reconciliation: the books, the ladder, the breaks."""
