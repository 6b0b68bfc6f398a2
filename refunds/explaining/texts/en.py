"""Pure: the texts in English."""

from collections.abc import Mapping

from refunds.explaining.keys import Key

_CONFIRMED = "Our payment provider confirmed on {done_on} that your refund of {amount} has been sent to "

TEXTS: Mapping[Key, str] = {
    Key.CLAIMED: "We have requested your refund of {amount}. Our payment provider has not confirmed it to us yet.",
    Key.CLAIMED_LATE: "We have requested your refund of {amount}, but our payment provider has not confirmed it to us "
    "yet. This is taking longer than usual, and we are looking into it.",
    Key.REQUESTED: "Your refund of {amount} has been created with our payment provider and is waiting to be processed.",
    Key.ACTION_NEEDED: "Your refund of {amount} needs one more step before it can go ahead. If you have received an "
    "e-mail asking for your bank details, please follow the instructions in it; otherwise, please reply to this "
    "message.",
    Key.PENDING: "Your refund of {amount} is being processed by our payment provider.",
    Key.PENDING_LATE: "Your refund of {amount} is still being processed by our payment provider. This is taking longer "
    "than usual, and we apologise for the delay.",
    Key.PENDING_STUCK: "Your refund of {amount} is still being processed, and this is taking much longer than usual. "
    "We apologise for the delay and are following it up with our payment provider.",
    Key.ACCEPTED: "Your refund of {amount} was passed on for payment on {done_on}. We have no confirmation yet that "
    "it has gone through.",
    Key.ACCEPTED_LATE: "Your refund of {amount} was passed on for payment on {done_on}. The final confirmation is "
    "taking longer than usual, and we apologise for the delay.",
    Key.DONE_CARD: _CONFIRMED + "the card you paid with.",
    Key.DONE_BANK: _CONFIRMED + "the bank account you paid from.",
    Key.DONE_WALLET: _CONFIRMED + "the wallet or account you paid with.",
    Key.DONE_VOUCHER: _CONFIRMED + "the payment service you used for this purchase.",
    Key.DONE_UNKNOWN: _CONFIRMED + "the payment method you used.",
    Key.REVERSED: "Our payment provider confirmed on {done_on} that the charge of {amount} has been reversed. The "
    "original charge disappears from your statement or is reduced by this amount, so there is no separate credit and "
    "no reference number.",
    Key.VOIDED: "Your payment of {amount} was cancelled on {done_on} before it was collected. The money was not taken "
    "from you, so no separate refund is needed. Depending on your bank, a pending amount may remain visible for a few "
    "days.",
    Key.CANCELED: "Your refund of {amount} was stopped before any money was transferred.",
    Key.FAILED: "Unfortunately, your refund of {amount} could not be carried out.",
    Key.RETURNED: "Unfortunately, your refund of {amount} came back to us on {done_on} and did not reach you.",
    Key.RETURNED_AFTER_SUCCESS: "Unfortunately, your refund of {amount} did not go through in the end. If you heard "
    "something different from us earlier, that is no longer correct, and we apologise.",
    Key.CHECKING: "We are checking the current status of your refund of {amount} with our payment provider and cannot "
    "give you reliable information yet.",
    Key.REVERSAL_PLANNED: "The refund is being handled as a reversal: the original charge is removed or reduced "
    "instead of a separate credit being made, so there is no reference number.",
    Key.PARTIAL: "This is a partial refund of your payment of {payment_amount}.",
    Key.SETTLED: "The amount left our account on {settled_on}.",
    Key.CONFIRM_BY: "Refunds like this one are usually confirmed by around {expected_by}; this is an estimate, not a "
    "fixed date.",
    Key.ARRIVES_CARD: "Depending on your card issuer, the amount usually appears on your statement by around "
    "{expected_by}; this is an estimate.",
    Key.ARRIVES_BANK: "Depending on your bank, the amount usually appears in your account by around {expected_by}; "
    "this is an estimate.",
    Key.ARRIVES_WALLET: "Depending on the provider of your wallet or account, the amount usually appears there by "
    "around {expected_by}; this is an estimate.",
    Key.ARRIVES_VOUCHER: "Depending on the payment service, the amount usually appears there by around {expected_by}; "
    "this is an estimate.",
    Key.ARRIVES_UNKNOWN: "Depending on how you paid, the amount usually becomes visible by around {expected_by}; this "
    "is an estimate.",
    Key.OVERDUE_CARD: "The amount should normally be visible by now. Please check your card statements from {done_on} "
    "onwards; if you cannot find it, please contact your card issuer.",
    Key.OVERDUE_BANK: "The amount should normally be visible by now. Please check your bank statements from {done_on} "
    "onwards; if you cannot find it, please contact your bank.",
    Key.OVERDUE_WALLET: "The amount should normally be visible by now. Please check the transactions in your wallet "
    "or account from {done_on} onwards; if you cannot find the amount, please contact the wallet or account provider.",
    Key.OVERDUE_VOUCHER: "The amount should normally be visible by now. Please check the transactions in your account "
    "with the payment service from {done_on} onwards; if you cannot find the amount, please contact that service.",
    Key.OVERDUE_UNKNOWN: "The amount should normally be visible by now. Please check your statements from {done_on} "
    "onwards; if you cannot find it, please reply to this message.",
    Key.REFERENCE: "Your bank can trace the refund by its reference number (ARN) {arn}.",
    Key.REFERENCE_FOLLOWS: "A reference number for your bank is not available yet.",
    Key.REFERENCE_NONE: "There is no reference number for this refund.",
    Key.REASON_ACCOUNT_UNREACHABLE: "The bank could not credit the card or account you paid with.",
    Key.REASON_DECLINED: "The bank or the payment service declined the refund.",
    Key.REASON_DISPUTED: "A dispute about this payment is open with your bank, and the amount is being handled there.",
    Key.REASON_OUR_SIDE: "The cause is on our side and not on yours.",
    Key.REASON_WITHDRAWN: "The refund was stopped on our side.",
    Key.REASON_NOT_COLLECTED: "The payment had not been collected from you yet.",
    Key.REASON_UNSAID: "We were not given a reason.",
    Key.DISPUTED: "A dispute about this payment has also been opened with your bank; the amount may be handled there.",
    Key.CONTACT: "Please reply to this message so that we can discuss with you how to proceed.",
    Key.AS_OF: "This information is as of {known_at}.",
    Key.MAIL_SUBJECT: "Your refund of {amount}",
    Key.MAIL_GREETING: "Dear customer,",
    Key.MAIL_CLOSING: "Kind regards",
}
