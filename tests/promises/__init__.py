"""What refunddash promises, one module a promise, each able to prove it wrong: `python -m tests.promises --help`.

A module `pNN_name.py` has TITLE (the promise in one line) and `run(size, seed)`, which raises AssertionError where the
promise does not hold and otherwise returns the figures it measured, a line each. `size` is "smoke" (seconds, in CI) or
"full". Where nothing wrong was found and too little happened to show anything, `run` raises TooLittleHappened, which is
not a broken promise. A module whose promise is shown by tests of the ordinary suite alone says so in TESTS instead.

docs/promises.md has a row for each; `--record` writes into it what was measured (tests.promises.page), except of
those that say who does instead (RECORDED_BY).
"""
