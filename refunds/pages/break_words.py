"""What a break means for the person who has to deal with it: its likely cause, and what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping

from connectors.contract import Money
from connectors.money import MoneyError, exponent, to_major
from refunds.reconciliation.codes import Code, Family
from refunds.reconciliation.models import Break

CAUSE_AND_TODO: Mapping[Code, tuple[str, str]] = {
    Code.TIMING_IN_TRANSIT: (
        "One party is simply later than the others, and still within its time.",
        "Nothing yet. If it is still here once it is due, it becomes a break of another kind.",
    ),
    Code.MISSING_AT_PROCESSOR: (
        "The refund was asked for here, but the request never reached the processor, or it went to another account.",
        "Look in the service that makes refunds: was it sent, and to which account? Send it again there if it was not.",
    ),
    Code.UNREQUESTED: (
        "Somebody refunded in the processor's own pages, or a service did that does not register its refunds here.",
        "Find out who made it and whether it was right. Then have it booked, or resolve this with what you found.",
    ),
    Code.MISSING_IN_SETTLEMENT: (
        "The file that has it is late or missing, or the processor booked it under another reference.",
        "See whether a file is missing on Imports. If its line is there under another id, match them; else ask the "
        "processor.",
    ),
    Code.SETTLED_UNKNOWN: (
        "A refund made elsewhere that was never told to us, or a line that carries a wrong reference.",
        "Look the payment and the order up. If it is one of our refunds, force the match; else find out who made it.",
    ),
    Code.PAYOUT_NOT_IN_BANK: (
        "The bank statement is not imported yet, the payout was returned, or it went to another bank account.",
        "Import the statement. If it is not on it, ask the processor for the payout's trace number.",
    ),
    Code.BANK_UNEXPLAINED: (
        "The entry names no payout, or one we have no file of; or it is no payout at all.",
        "Import the settlement file of its payout, or match it with the payout it is.",
    ),
    Code.AMOUNT_OVER: (
        "More was refunded than asked for: another amount was typed in, or a second part was added.",
        "Compare with the order. If the customer got too much, decide whether to claim it back or to write it off.",
    ),
    Code.AMOUNT_UNDER: (
        "Less was refunded than asked for: a partial refund, or a fee that was kept back.",
        "Compare with the order. If the customer got too little, have the service refund the rest.",
    ),
    Code.ROUNDING: (
        "Conversion or rounding of a unit or two, within what the account's terms allow.",
        "Nothing. The sum is watched: beyond the account's limit it becomes a difference of amounts.",
    ),
    Code.MINOR_UNIT_SCALE: (
        "One side counts in another smallest unit: cents written as whole units, or the other way round.",
        "Stop booking this account's amounts and tell engineering: the next ones will be wrong as well.",
    ),
    Code.FEE_VARIANCE: (
        "The processor's price has changed, or the account's terms here are old.",
        "Compare with the contract. Add new terms from the day of the change, or claim the fee back.",
    ),
    Code.GROSS_NET_CONFUSION: (
        "One side has the amount before the fee, the other after it.",
        "Have the books corrected to the gross amount, with the fee as an entry of its own.",
    ),
    Code.OVER_REFUNDED: (
        "Several refunds of one payment add up to more than was captured.",
        "Look at all refunds of the payment: one is probably a repetition. Ask the processor before it settles.",
    ),
    Code.CURRENCY_MISMATCH: (
        "Booked in the currency of the account instead of the payment, or a conversion nobody told us of.",
        "Find the conversion in the processor's pages, and have the entry corrected to the payment's currency.",
    ),
    Code.STATUS_CONFLICT: (
        "Our side believes another outcome than the processor, or a failed refund was booked all the same.",
        "The processor's word counts. Correct ours, and tell the customer if they were told otherwise.",
    ),
    Code.RETURNED_AFTER_SUCCESS: (
        "The customer's bank sent the money back: a closed account, or an expired card.",
        "Tell the customer, and agree on another way to pay them back.",
    ),
    Code.STUCK_PENDING: (
        "The processor waits for something: a balance to cover it, or an action of ours.",
        "Read why on the refund's page, and open it at the processor.",
    ),
    Code.STALE_LOCAL: (
        "The webhook was lost, or its event is not subscribed to. Polling found the news later.",
        "Look at the endpoint on Operations if there are many of these.",
    ),
    Code.DUPLICATE_REFUND: (
        "The refund was made twice: a retry without its key, or by hand beside the service.",
        "Ask the processor to cancel the one nobody asked for while it can still be cancelled.",
    ),
    Code.DUPLICATE_LINE: (
        "The same line came in two files. The second one was set aside and counts nowhere.",
        "Nothing, unless the second one says something else: then ask the processor which is right.",
    ),
    Code.AMBIGUOUS: (
        "It names no refund, and more than one fits what it does name.",
        "Choose below which one it is. The choice is remembered for later runs.",
    ),
    Code.WRONG_PARENT: (
        "The refund stands under another payment or order at one party than at the other.",
        "Look at both payments; have the wrong side corrected before anything else is refunded of either.",
    ),
    Code.DIRECTION: (
        "A refund was booked as money coming in: a sign read wrongly, or a reversal taken for a refund.",
        "Tell engineering with the file and the line; do not correct it by hand.",
    ),
    Code.REFERENCE_DATA: (
        "An order or ARN was written differently by one party; the amounts agree.",
        "Nothing for the money. Correct the reference where it is ours, so that it can be found.",
    ),
    Code.PERIOD_CROSSING: (
        "Asked for in one period and settled in the next.",
        "Nothing: it is carried over in the roll-forward.",
    ),
    Code.CUTOFF_TIMEZONE: (
        "The account's day ends at another moment than the run's period.",
        "Nothing. Run the period by the account's own zone if this should not show.",
    ),
    Code.FILE_GAP: (
        "A file was not delivered or not imported, or was cut off.",
        "Hand the missing file in on Imports, then run the period again.",
    ),
    Code.UNPARSED_ROW: (
        "A row of a file could not be read; all others were.",
        "Look at the row on Imports. Mend it in the file and hand the file in again, or tell engineering.",
    ),
}


BY_PARTIES: Mapping[tuple[Code, str], tuple[str, str]] = {
    (Code.AMOUNT_OVER, "PS"): (
        "More was booked than the processor says it refunded: a conversion, a correction, or a line that holds two.",
        "Look at the line in the processor's pages. Claim the rest back, or write it off.",
    ),
    (Code.AMOUNT_UNDER, "PS"): (
        "Less was booked than the processor says it refunded: a fee kept back, a conversion, or a part still to come.",
        "Look whether another line of it follows. If the difference is right as it is, force the match.",
    ),
    (Code.AMOUNT_OVER, "SB"): (
        "The bank received more than the payout says: two payouts in one entry, or an entry of another payout.",
        "Look at the bank's entry. Match what else is in it with the payout it belongs to.",
    ),
    (Code.AMOUNT_UNDER, "SB"): (
        "The bank received less than the payout says: a charge of the bank, or a part of the payout was held back.",
        "Look at the bank's entry and at the payout in the processor's pages. Write a bank charge off.",
    ),
}
"""Where it matters between whom the difference is."""


def cause(found: Break) -> str:
    return _words(found)[0]


def todo(found: Break) -> str:
    return _words(found)[1]


def _words(found: Break) -> tuple[str, str]:
    code = Code(found.code)
    return BY_PARTIES.get((code, found.parties), CAUSE_AND_TODO[code])


_IN_UNITS = frozenset({Code.CURRENCY_MISMATCH, Code.FILE_GAP})
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?: [A-Z]{3}\b)?")


def detail(found: Break) -> str:
    """What the run noted, with amounts as people write them: runs note the smallest unit."""
    code = Code(found.code)
    if not found.currency or (code.about.family is not Family.AMOUNT and code not in _IN_UNITS):
        return found.detail
    exceptions = found.account.connector_class.currency_exponents

    def major(number: re.Match[str]) -> str:
        amount, _, currency = number[0].partition(" ")
        currency = currency or found.currency
        try:
            digits = exponent(currency, exceptions)
            return f"{to_major(Money(int(amount), currency), exceptions):,.{digits}f} {currency}"
        except MoneyError:
            return number[0]

    return _NUMBER.sub(major, found.detail)
