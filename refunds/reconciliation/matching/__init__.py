"""Matching, in the database: stage the parties, join them, climb the ladder, write down what differs.

Everything stays in temporary tables and a few statements that both databases understand; our own process holds no rows.
"""
