"""P32: one way out, and nothing on it moves money; shown by the ordinary suite (test_moves_no_money.py)."""

TITLE = "Moves no money: one egress with an allow-list, and the sandbox fails whoever tries anything else"
TESTS = ["tests/hostile/test_moves_no_money.py"]
