"""What is kept of our refunds."""

from refunds.models.access import ApiToken, Scope
from refunds.models.alert import Alert, AlertKind
from refunds.models.heartbeat import Heartbeat
from refunds.models.observation import Mark, Observation
from refunds.models.outbox import OutboxEvent
from refunds.models.polling import AccountPolling, Backfill, CreationWindow, Sighting
from refunds.models.refund import Refund, RefundQuerySet
from refunds.models.report import (
    ReportSource,
    ReportState,
    StatusReport,
    StatusReportPart,
    StatusReportRowError,
)
from refunds.models.tally import TransitionTally

__all__ = [
    "AccountPolling",
    "Alert",
    "AlertKind",
    "ApiToken",
    "Backfill",
    "CreationWindow",
    "Heartbeat",
    "Mark",
    "Observation",
    "OutboxEvent",
    "Refund",
    "RefundQuerySet",
    "ReportSource",
    "ReportState",
    "Scope",
    "Sighting",
    "StatusReport",
    "StatusReportPart",
    "StatusReportRowError",
    "TransitionTally",
]
