"""Every write to what we know of refunds. Transactions begin here and in the inbox's `keep`, nowhere else."""

from refunds.services.asking import NetworkInTransaction, processors_replaced_by
from refunds.services.backfill import BackfillProgress, backfill
from refunds.services.checking import AccountCheck, check_account
from refunds.services.deliveries import apply_deliveries, apply_new, apply_tried
from refunds.services.events import HandledEvent, UnifiedEvent, UnverifiedEvent, handle_event
from refunds.services.housekeeping import recognize_words, release_held, take_step, watch_endpoints
from refunds.services.items import item_of_answer, item_of_event
from refunds.services.polling import poll_account
from refunds.services.projection import show_anew
from refunds.services.purging import purge_deliveries
from refunds.services.recording import Recorded, record_facts
from refunds.services.registration import Outcome, Registered, Registration, register_refunds
from refunds.services.rehearsal import DryRunChange, dry_run
from refunds.services.syncing import SyncResult, get_refund, sync_refund

__all__ = [
    "AccountCheck",
    "BackfillProgress",
    "DryRunChange",
    "HandledEvent",
    "NetworkInTransaction",
    "Outcome",
    "Recorded",
    "Registered",
    "Registration",
    "SyncResult",
    "UnifiedEvent",
    "UnverifiedEvent",
    "apply_deliveries",
    "apply_new",
    "apply_tried",
    "backfill",
    "check_account",
    "dry_run",
    "get_refund",
    "handle_event",
    "item_of_answer",
    "item_of_event",
    "poll_account",
    "processors_replaced_by",
    "purge_deliveries",
    "recognize_words",
    "record_facts",
    "register_refunds",
    "release_held",
    "show_anew",
    "sync_refund",
    "take_step",
    "watch_endpoints",
]
