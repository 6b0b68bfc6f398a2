"""Asks processors in a process of its own, so that what their answers cost in memory can be measured.

Reads an account's id a line, asks everything there is to ask of that account by every road, and answers each line with
JSON: the codes that a person's question and the key's check came to, and the greatest memory so far.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import resource
import sys
from typing import Any

import django


def main() -> None:
    django.setup()
    from connectors.transport import EXCHANGE_SECONDS
    from refunds.services import asking

    # People are no more patient than the poller is allowed to be here.
    asking.PERSON_SECONDS = min(asking.PERSON_SECONDS, EXCHANGE_SECONDS)
    logging.getLogger().setLevel(logging.DEBUG)
    for line in sys.stdin:
        print(json.dumps(_ask_everything(int(line))), flush=True)


def _ask_everything(account_id: int) -> dict[str, Any]:
    from connectors.models import ConnectorAccount
    from refunds import services
    from refunds.models import AccountPolling, Refund

    account = ConnectorAccount.objects.get(pk=account_id)
    person = services.sync_refund(Refund.objects.filter(account=account).order_by("id")[0])
    check = services.check_account(account)
    asked = 0
    for road in ("changes", "list", "get"):
        AccountPolling.objects.filter(account=account).update(failures=0, paused_until=None, tokens=100.0)
        _make_due(account, road)
        asked += services.poll_account(account, budget_seconds=1.0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"person": person.answer, "check": check.answer, "asked": asked, "peak_mb": peak / 1024}


def _make_due(account: Any, road: str) -> None:
    """Only this road has something to ask."""
    from django.utils import timezone

    from refunds.models import AccountPolling, CreationWindow, Refund

    now, later = timezone.now(), timezone.now() + dt.timedelta(days=1)
    changes_at, list_at, poll_at = (now if road == name else later for name in ("changes", "list", "get"))
    AccountPolling.objects.filter(account=account).update(
        next_changes_at=changes_at, changes_cursor="", next_settlement_at=later
    )
    CreationWindow.objects.filter(account=account).update(next_list_at=later, cursor="")
    CreationWindow.objects.update_or_create(account=account, day=now.date(), defaults={"next_list_at": list_at})
    Refund.objects.filter(account=account).update(next_poll_at=poll_at)


if __name__ == "__main__":
    main()
