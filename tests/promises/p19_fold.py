"""P19. Refunds by the million, made by the program's own recording; `manage.py verify_fold` merges every log anew.

It has been seen to fail: with recording writing a row only where the winner changes (`t.winning_key < v.winning_key`),
the keys, attributes and flags that losing facts bring are missing, and each refund concerned is reported. A defect of
the rule itself is not seen here, because both sides use it: that is P3's to find.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time

from tests.house import House
from tests.house.seed import seed as seed_refunds

TITLE = "State = fold(log): every refund shows what its observations add up to, and a row edited by hand is reported"
OBSERVATIONS_EACH = 3
SIZES = {"smoke": 6_000, "full": 1_000_000}
EDITS = {"status": "'FAILED'", "stage": "1", "processor_minor_amount": "1", "winning_key": "repeat('1', 35)"}


def run(size: str, seed: int) -> list[str]:
    with House() as house:
        from django.db import connection

        from connectors.models import ConnectorAccount
        from refunds.models import Refund

        account = ConnectorAccount.objects.create(name="shop", connector="stripe", environment="sandbox")
        started = time.monotonic()
        seed_refunds(account, SIZES[size], seed=seed, observations_each=OBSERVATIONS_EACH)
        seeded_in = time.monotonic() - started
        code, said = _verify(house)
        assert code == 0, said[-2000:]
        figures = re.search(r"([\d,]+) refunds looked at, 0 mismatches \(([\d,]+)/s\)\.", said)
        assert figures, said[-2000:]
        looked_at = int(figures[1].replace(",", ""))
        assert looked_at == Refund.objects.count() >= SIZES[size], (looked_at, Refund.objects.count())

        newest = Refund.objects.filter(status="SUCCEEDED").order_by("-pk")
        succeeded = list(newest.values_list("pk", flat=True)[: len(EDITS)])
        with connection.cursor() as cursor:
            for refund_id, (column, value) in zip(succeeded, EDITS.items(), strict=True):
                cursor.execute(f"UPDATE refunds_refund SET {column} = {value} WHERE id = %s", [refund_id])
        code, said = _verify(house, "--after", str(max(min(succeeded) - 5_000, 0)))
        reported = set(re.findall(r"^refund (\d+) \([^)]*\): (\w+) shows", said, re.M))
        missing = {(str(r), c) for r, c in zip(succeeded, EDITS, strict=True)} - reported
        assert not missing, (missing, said[-2000:])
        assert code == 1, said[-2000:]
        assert {number for number, _ in reported} == {str(number) for number in succeeded}, reported
    return [
        f"{looked_at:,} refunds with {OBSERVATIONS_EACH} observations each: 0 mismatches, {figures[2]} refunds/s "
        f"(seeded in {seeded_in:.0f} s)",
        f"edited by hand ({', '.join(EDITS)}): {len(EDITS)} of {len(EDITS)} refunds reported, no other",
    ]


def _verify(house: House, *arguments: str) -> tuple[int, str]:
    """The command as an operator runs it: its exit code and what it wrote."""
    command = [sys.executable, "manage.py", "verify_fold", *arguments]
    done = subprocess.run(command, env=house.environment, check=False, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr
