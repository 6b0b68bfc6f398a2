"""P25: exact money; shown by the ordinary suite (test_money.py)."""

TITLE = "Money is exact: integers only, each currency's own decimals, sums per currency"
TESTS = ["tests/hostile/test_money.py"]
