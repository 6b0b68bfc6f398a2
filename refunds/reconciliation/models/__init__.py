"""What is kept for reconciliation."""

from refunds.reconciliation.models.decision import DecisionGroup, GroupState, PairDecision, Verdict
from refunds.reconciliation.models.ledger import (
    ColumnMapping,
    EntryKind,
    LedgerEntry,
    LedgerFilePart,
    LedgerImport,
    LedgerRowError,
)
from refunds.reconciliation.models.period import (
    Closing,
    ClosingState,
    OpenItem,
    Period,
    PeriodEvent,
    PeriodQuerySet,
    PeriodState,
    PeriodStep,
)
from refunds.reconciliation.models.run import (
    Break,
    BreakDecision,
    BreakQuerySet,
    BreakState,
    Match,
    Run,
    RunQuerySet,
    RunState,
)
from refunds.reconciliation.models.settlement import LineMovement, Payout, PayoutPart, SetAsideLine, SettledLine
from refunds.reconciliation.models.terms import AccountTerms

__all__ = [
    "AccountTerms",
    "Break",
    "BreakDecision",
    "BreakQuerySet",
    "BreakState",
    "Closing",
    "ClosingState",
    "ColumnMapping",
    "DecisionGroup",
    "EntryKind",
    "GroupState",
    "LedgerEntry",
    "LedgerFilePart",
    "LedgerImport",
    "LedgerRowError",
    "LineMovement",
    "Match",
    "OpenItem",
    "PairDecision",
    "Payout",
    "PayoutPart",
    "Period",
    "PeriodEvent",
    "PeriodQuerySet",
    "PeriodState",
    "PeriodStep",
    "Run",
    "RunQuerySet",
    "RunState",
    "SetAsideLine",
    "SettledLine",
    "Verdict",
]
