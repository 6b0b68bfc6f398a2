"""What is kept of our refunds."""

from refunds.models.access import ApiToken, Scope
from refunds.models.alert import Alert, AlertKind
from refunds.models.customer_text import CustomerText
from refunds.models.heartbeat import Heartbeat
from refunds.models.observation import Mark, Observation
from refunds.models.outbox import OutboxEvent
from refunds.models.polling import AccountPolling, Backfill, CreationWindow, FailingRoad, Road, Sighting
from refunds.models.refund import Refund, RefundQuerySet
from refunds.models.report import (
    ReportSource,
    ReportState,
    StatusReport,
    StatusReportPart,
    StatusReportRowError,
)
from refunds.models.tally import TransitionTally
from refunds.models.usual_time import UsualTime

__all__ = [
    "AccountPolling",
    "Alert",
    "AlertKind",
    "ApiToken",
    "Backfill",
    "CreationWindow",
    "CustomerText",
    "FailingRoad",
    "Heartbeat",
    "Mark",
    "Observation",
    "OutboxEvent",
    "Refund",
    "RefundQuerySet",
    "ReportSource",
    "ReportState",
    "Road",
    "Scope",
    "Sighting",
    "StatusReport",
    "StatusReportPart",
    "StatusReportRowError",
    "TransitionTally",
    "UsualTime",
]
