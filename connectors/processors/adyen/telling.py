"""Pure: what there is to tell a customer of an Adyen refund: families of methods, causes of failure, usual times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from connectors.contract import FailureCause, MethodFamily

FAILURE_CAUSES: Mapping[str, FailureCause] = {
    "Transaction hasn't been captured, refund not possible": FailureCause.NOT_COLLECTED,
    "Insufficient balance on payment": FailureCause.OUR_SIDE,
    "REFUND": FailureCause.DECLINED,
    "REFUND_WITH_DATA": FailureCause.DECLINED,
    "CANCEL_OR_REFUND": FailureCause.DECLINED,
    "REFUND_FAILED": FailureCause.DECLINED,
    "REFUNDED_REVERSED": FailureCause.ACCOUNT_UNREACHABLE,
    "CANCELLATION": FailureCause.OUR_SIDE,
    "TECHNICAL_CANCEL": FailureCause.OUR_SIDE,
    "VOID_PENDING_REFUND": FailureCause.WITHDRAWN,
}


def _of(family: MethodFamily, words: Iterable[str]) -> dict[str, MethodFamily]:
    return dict.fromkeys(words, family)


# /development-resources/paymentmethodvariant, in lower case; what is not in here is of an unknown family.
PAYMENT_METHODS: Mapping[str, MethodFamily] = {
    **_of(
        MethodFamily.CARD,
        (
            "amex", "bcmc", "cartebancaire", "cup", "dankort", "diners", "discover", "elo", "hipercard", "interac",
            "jcb", "maestro", "mc", "scheme", "visa", "visadankort",
        ),
    ),
    **_of(
        MethodFamily.BANK,
        (
            "ach", "bacs", "banktransfer_iban", "blik", "directebanking", "ebanking_fi", "eft_directdebit_ca", "eps",
            "giropay", "ideal", "onlinebanking_pl", "open_banking_uk", "paybybank", "pix", "sepadirectdebit",
            "trustly",
        ),
    ),
    **_of(
        MethodFamily.WALLET,
        (
            "alipay", "alipay_hk", "amazonpay", "applepay", "gcash", "googlepay", "grabpay_sg", "kakaopay", "mbway",
            "mobilepay", "paypal", "paysafecard", "swish", "twint", "vipps", "wechatpay",
        ),
    ),
    **_of(
        MethodFamily.VOUCHER,
        (
            "affirm", "afterpaytouch", "boletobancario", "clearpay", "klarna", "klarna_account", "klarna_paynow",
            "multibanco", "oxxo", "ratepay", "riverty", "zip",
        ),
    ),
}  # fmt: skip

# /online-payments/refund: up to 40 business days, depending on the payment method. For cards its page for shoppers
# says two weeks.
CREDITED_WITHIN_BANK_DAYS: Mapping[MethodFamily, int] = {
    **dict.fromkeys(MethodFamily, 40),
    MethodFamily.CARD: 10,
}
