"""Months of both processors in one process under one virtual clock: `make simulate`, docs/simulation.md.

The product's own receiver, inbox, merge, poller, breaker and listings run against the sandbox, which is processor and
oracle. By seed everything goes wrong that can; after every step the promises are checked.

Deliberate defects it was tried with, each caught within four worlds: the last write wins, a lease that keeps nobody
out, no breaker, `Retry-After` ignored, a failed question taken for a failed refund, an announcement for every fact.
"""
