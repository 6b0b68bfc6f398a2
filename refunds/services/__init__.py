"""Every write to what we know of refunds. Transactions begin here and in the inbox's `keep`, nowhere else."""

from refunds.services.asking import NetworkInTransaction, processors_replaced_by
from refunds.services.backfill import AnotherIsAtIt, SpanOutOfRange, backfill
from refunds.services.checking import AccountCheck, check_account
from refunds.services.deliveries import apply_deliveries, apply_new, apply_tried, take_over_from_the_dead
from refunds.services.dismissing import NoReason, dismiss_deliveries, undismiss_deliveries
from refunds.services.events import HandledEvent, UnifiedEvent, UnverifiedEvent, handle_event
from refunds.services.folding import Mismatch, fold_anew, verify_fold, verify_sample
from refunds.services.housekeeping import (
    forget_tallies,
    recognize_words,
    release_held,
    take_step,
    watch_clock,
    watch_endpoints,
)
from refunds.services.items import item_of_answer, item_of_event
from refunds.services.polling import poll_account
from refunds.services.projection import show_anew
from refunds.services.purging import purge_deliveries
from refunds.services.reading import calm_down
from refunds.services.recording import Recorded, record_facts
from refunds.services.registration import Outcome, Registered, Registration, register_refunds
from refunds.services.rehearsal import DryRunChange, dry_run
from refunds.services.report_import import import_now, import_report, reports_to_import
from refunds.services.reports import (
    MAXIMUM_REPORT_BYTES,
    KeptReport,
    connectors_with_reports,
    expire_reports,
    fetch_now,
    fetch_report,
    keep_report,
    report_at,
    report_kept,
    reports_to_fetch,
    try_again,
)
from refunds.services.syncing import SyncResult, get_refund, sync_refund
from refunds.services.texts import TextChangedMeanwhile, TextRefused, newest_version, texts_of, write_text
from refunds.services.usual_times import learn, learn_usual_times

__all__ = [
    "MAXIMUM_REPORT_BYTES",
    "AccountCheck",
    "AnotherIsAtIt",
    "DryRunChange",
    "HandledEvent",
    "KeptReport",
    "Mismatch",
    "NetworkInTransaction",
    "NoReason",
    "Outcome",
    "Recorded",
    "Registered",
    "Registration",
    "SpanOutOfRange",
    "SyncResult",
    "TextChangedMeanwhile",
    "TextRefused",
    "UnifiedEvent",
    "UnverifiedEvent",
    "apply_deliveries",
    "apply_new",
    "apply_tried",
    "backfill",
    "calm_down",
    "check_account",
    "connectors_with_reports",
    "dismiss_deliveries",
    "dry_run",
    "expire_reports",
    "fetch_now",
    "fetch_report",
    "fold_anew",
    "forget_tallies",
    "get_refund",
    "handle_event",
    "import_now",
    "import_report",
    "item_of_answer",
    "item_of_event",
    "keep_report",
    "learn",
    "learn_usual_times",
    "newest_version",
    "poll_account",
    "processors_replaced_by",
    "purge_deliveries",
    "recognize_words",
    "record_facts",
    "register_refunds",
    "release_held",
    "report_at",
    "report_kept",
    "reports_to_fetch",
    "reports_to_import",
    "show_anew",
    "sync_refund",
    "take_over_from_the_dead",
    "take_step",
    "texts_of",
    "try_again",
    "undismiss_deliveries",
    "verify_fold",
    "verify_sample",
    "watch_clock",
    "watch_endpoints",
    "write_text",
]
