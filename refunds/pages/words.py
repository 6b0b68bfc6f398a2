"""How the pages say things: one plain word for each source, stage, standing and answer."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.contract import MarkKind, ReferenceState, RefundKind, Stage, Status
from refunds.facts import Source, Standing
from refunds.models import Refund

STATUSES: Mapping[Status, str] = {
    Status.PENDING: "Pending",
    Status.SUCCEEDED: "Succeeded",
    Status.FAILED: "Failed",
}

STAGES: Mapping[Stage, str] = {
    Stage.REQUESTED: "Requested",
    Stage.REQUIRES_ACTION: "Waits for action",
    Stage.PENDING: "Pending",
    Stage.ACCEPTED: "Sent to the scheme",
    Stage.VOIDED: "Voided",
    Stage.CANCELED: "Canceled",
    Stage.SUCCEEDED: "Succeeded",
    Stage.FAILED: "Failed",
    Stage.RETURNED: "Returned",
}

STAGE_MEANINGS: Mapping[Stage, str] = {
    Stage.REQUESTED: "Created or queued. Nobody has moved money yet.",
    Stage.REQUIRES_ACTION: "Waits for the customer or the merchant to do something.",
    Stage.PENDING: "The processor is working on it.",
    Stage.ACCEPTED: "Sent to the scheme, not yet booked. It may still fail.",
    Stage.VOIDED: "The payment was cancelled before capture: the money was never taken.",
    Stage.CANCELED: "Stopped before any money moved.",
    Stage.SUCCEEDED: "Done, as far as the processor says.",
    Stage.FAILED: "It did not reach the customer.",
    Stage.RETURNED: "The processor says the money came back after it had gone.",
}

SOURCES: Mapping[Source, str] = {
    Source.CLAIM: "our own registration",
    Source.REPORT: "status report",
    Source.LIST: "processor's listing",
    Source.FEED: "processor's event feed",
    Source.WEBHOOK: "signed webhook",
    Source.GET: "processor's answer",
}

NOT_HEARD = "No processor has said anything yet."
NOT_READABLE = "The processor's only words so far are ones this release cannot read."
NOT_COUNTED = "Nothing that a processor has said of it counts yet."


def is_claim(refund: Refund) -> bool:
    """Whether no processor stands behind what is shown of this refund."""
    return refund.source == Source.CLAIM


def headline(refund: Refund) -> str:
    """The status in a word; a claim is called one."""
    status = STATUSES[Status(refund.status)]
    if not is_claim(refund) or refund.registered_at is None:
        return status
    return f"Claimed as {status.lower()}" if refund.claimed_status else "Requested by us"


def evidence(refund: Refund) -> str:
    """Where what is shown came from: "signed webhook"."""
    if is_claim(refund) and refund.registered_at is None:
        return "nothing readable yet" if refund.unrecognized_since else "nothing heard yet"
    return SOURCES[Source(refund.source)]


SOURCE_ICONS: Mapping[Source, str] = {
    Source.CLAIM: "flag",
    Source.REPORT: "file",
    Source.LIST: "list",
    Source.FEED: "list",
    Source.WEBHOOK: "bolt",
    Source.GET: "search",
}

STANDINGS: Mapping[Standing, str] = {
    Standing.COUNTED: "",
    Standing.HELD: "held",
    Standing.UNRECOGNIZED: "unrecognized word",
    Standing.UNCONFIRMED: "not confirmed",
}

MARKS: Mapping[MarkKind, str] = {
    MarkKind.DISPUTED: "The customer disputed this payment with the bank.",
    MarkKind.NOT_CLEARED: "The processor reports that this refund has not cleared.",
}

KINDS: Mapping[RefundKind, str] = {RefundKind.REFUND: "Refund", RefundKind.REVERSAL: "Reversal"}

NO_REFERENCE: Mapping[str, str] = {
    ReferenceState.PENDING: "Not yet: the processor says one will follow.",
    ReferenceState.UNAVAILABLE: "None: the processor says there is none for this refund.",
    ReferenceState.AVAILABLE: "The processor has one, but has not told us.",
    "": "None so far: the processor has not said whether there will be one.",
}

REVERSAL = "None: this is a reversal. The original charge disappears from the customer's statement."
NOT_SENT = "None: no money was sent to the customer's bank."

ANSWERS: Mapping[str, str] = {
    "": "not asked yet",
    "answered": "it answered",
    "unavailable": "it could not answer",
    "credentials_rejected": "it rejected our credentials",
    "not_found": "it does not know this id",
    "malformed_answer": "its answer could not be read",
    "unknown_status": "it used a word we do not know",
    "not_supported": "it cannot be asked about one refund",
    "refused": "the question was not sent",
}

PERIOD_STEPS: Mapping[str, str] = {
    "opened": "Opened",
    "closed": "Closed",
    "locked": "Locked",
    "proposed": "Reopening proposed",
    "declined": "Reopening declined",
    "reopened": "Reopened",
}
