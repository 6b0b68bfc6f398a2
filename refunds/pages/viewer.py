"""Who looks at a page, and which day it is where they are."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.utils import timezone

from refunds.pages.access import SignedInRequest
from refunds.pages.zones import zone_of


@dataclass(frozen=True, slots=True)
class Viewer:
    """A person and their time zone: who "me" is in a list's filters, and what is due today."""

    user: User
    zone: zoneinfo.ZoneInfo

    @classmethod
    def of(cls, request: SignedInRequest) -> Viewer:
        return cls(request.user, zone_of(request))

    @property
    def today(self) -> dt.date:
        return timezone.now().astimezone(self.zone).date()

    @property
    def yesterday_began_at(self) -> dt.datetime:
        return self.begin_of(self.today - dt.timedelta(days=1))

    def begin_of(self, day: dt.date) -> dt.datetime:
        """The first moment of a day, where they are; on a day without a midnight, what its clocks begin with."""
        return dt.datetime.combine(day, dt.time(), self.zone).astimezone(dt.UTC)
