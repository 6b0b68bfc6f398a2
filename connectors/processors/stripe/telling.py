"""Pure: what there is to tell a customer of a Stripe refund: families of methods, causes of failure, usual times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from connectors.contract import FailureCause, MethodFamily

# /refunds#failed-refunds. The money of a failed refund is back in the merchant's balance; nobody retries it.
FAILURE_REASONS: Mapping[str, str] = {
    "lost_or_stolen_card": "The card was reported lost or stolen, so the bank sent the refund back. "
    "Another way to pay the customer is needed.",
    "expired_or_canceled_card": "The card or account is closed or expired, so the bank could not deliver it.",
    "charge_for_pending_refund_disputed": "The customer opened a dispute with the bank; the money is handled "
    "there, so the refund stopped to avoid paying twice.",
    "insufficient_funds": "The merchant's balance did not cover the refund in time; it must be sent again.",
    "declined": "The bank or payment partner declined the refund.",
    "merchant_request": "The merchant cancelled this refund.",
    "unknown": "The bank returned the refund without a reason.",
}
FAILURE_CAUSES: Mapping[str, FailureCause] = {
    "lost_or_stolen_card": FailureCause.ACCOUNT_UNREACHABLE,
    "expired_or_canceled_card": FailureCause.ACCOUNT_UNREACHABLE,
    "charge_for_pending_refund_disputed": FailureCause.DISPUTED,
    "insufficient_funds": FailureCause.OUR_SIDE,
    "declined": FailureCause.DECLINED,
    "merchant_request": FailureCause.WITHDRAWN,
    "unknown": FailureCause.UNSAID,
}


def _of(family: MethodFamily, words: Iterable[str]) -> dict[str, MethodFamily]:
    return dict.fromkeys(words, family)


# /api/refunds/object: the types of destination_details.
PAYMENT_METHODS: Mapping[str, MethodFamily] = {
    **_of(MethodFamily.CARD, ("card", "card_present", "interac_present")),
    **_of(
        MethodFamily.BANK,
        (
            "acss_debit", "au_bank_transfer", "au_becs_debit", "bacs_debit", "bancontact", "blik", "br_bank_transfer",
            "ca_bank_transfer", "customer_cash_balance", "eps", "eu_bank_transfer", "fpx", "gb_bank_transfer",
            "giropay", "ideal", "jp_bank_transfer", "mx_bank_transfer", "nz_bank_transfer", "p24", "paynow", "pix",
            "sepa_debit", "sofort", "th_bank_transfer", "us_bank_account", "us_bank_transfer",
        ),
    ),
    **_of(
        MethodFamily.WALLET,
        (
            "alipay", "amazon_pay", "cashapp", "crypto", "grabpay", "kakao_pay", "link", "mb_way", "mobilepay",
            "naver_pay", "payco", "paypal", "revolut", "samsung_pay", "swish", "twint", "wechat_pay", "zip",
        ),
    ),
    **_of(
        MethodFamily.VOUCHER,
        ("affirm", "afterpay_clearpay", "alma", "billie", "boleto", "klarna", "konbini", "multibanco", "oxxo"),
    ),
}  # fmt: skip

# /refunds: five to ten business days for cards, depending on the bank; other methods are given the same.
CREDITED_WITHIN_BANK_DAYS: Mapping[MethodFamily, int] = dict.fromkeys(MethodFamily, 10)
