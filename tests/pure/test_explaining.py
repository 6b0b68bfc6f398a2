"""What is said of a refund: something in every situation and language, and nowhere more than is known."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import FailureCause, MethodFamily, Money, ReferenceState, Stage
from connectors.registry import connectors
from refunds.explaining import Age, Key, Language, Situation, explain, language_of
from refunds.explaining.choosing import chosen
from refunds.explaining.keys import MENTIONS
from refunds.explaining.samples import samples
from refunds.explaining.texts import DEFAULTS
from refunds.explaining.wording import DONE_WORDS, PROMISES, problems

MOMENT = dt.datetime(2026, 3, 14, 10, 4, tzinfo=dt.UTC)
ARN = "24011234567890123456783"
PLAIN = Situation(stage=Stage.PENDING, done_at=MOMENT, amount=Money(12_34, "EUR"))
LONGEST_MESSAGE = 1_000

KNOWN: list[dict[str, Any]] = [
    {},
    {"expected_by": dt.date(2026, 3, 27)},
    {"arn": ARN, "reference_state": ReferenceState.AVAILABLE, "expected_by": dt.date(2026, 3, 27)},
    {"reference_state": ReferenceState.PENDING},
    {"reference_state": ReferenceState.UNAVAILABLE, "settled_at": MOMENT},
    {"is_reversal": True},
    {"is_reversal": True, "settled_at": MOMENT, "arn": ARN},
    {"payment_amount": Money(50_00, "EUR")},
    {"is_disputed": True},
    {"is_not_cleared": True},
    {"returned_after_success": True},
    {"is_unrecognized": True, "arn": ARN},
    {"is_repeated": True},
    {"is_unheard": True, "is_claim": True},
    {"is_claim": True, "expected_by": dt.date(2026, 3, 27)},
    {"is_claim": True, "is_unrecognized": True},
    {"stale": "nothing was heard"},
    {"amounts_differ": True, "can_be_asked": False},
    {"amount": None, "payment_amount": None},
    {"amount": Money(1_250_000, "CLP"), "exponents": {"CLP": 2}},
    *({"cause": cause, "reason": "words for staff"} for cause in FailureCause),
    *({"cause": cause, "returned_after_success": True, "is_disputed": True} for cause in FailureCause),
]
EVERYTHING = [
    replace(PLAIN, stage=stage, family=family, age=age, **known)
    for stage, family, age, known in itertools.product(Stage, MethodFamily, Age, KNOWN)
]
TABOO = re.compile(
    r"fraud|stolen|theft|lost card|betrug|gestohlen|diebstahl|fraude|vol[eé]e?\b|perdue?|robad|robo\b|roubad|furto",
    re.I,
)


def faults(situation: Situation, language: Language) -> list[str]:
    """What is wrong with the words for a situation."""
    said = explain(situation, language)
    whole = "\n".join((said.subject, said.mail))
    found = []
    if not said.text.strip() or not all(sentence.text for sentence in said.sentences):
        found.append("nothing is said")
    if re.search(r"[{}]|\bNone\b|  ", whole):
        found.append("a placeholder is left")
    if PROMISES[language].search(whole):
        found.append(f"it promises: {PROMISES[language].search(whole)}")
    if TABOO.search(whole):
        found.append(f"it speaks of fraud: {TABOO.search(whole)}")
    stands_behind = situation.stage in (Stage.ACCEPTED, Stage.SUCCEEDED, Stage.VOIDED)
    if (not stands_behind or situation.is_claim or situation.is_doubtful) and DONE_WORDS[language].search(whole):
        found.append(f"nobody said so: {DONE_WORDS[language].search(whole)}")
    if len(said.text) > LONGEST_MESSAGE:
        found.append(f"{len(said.text)} characters")
    if not said.meaning or not said.advice:
        found.append("staff is told nothing")
    if re.search(r"\b27\b", said.text) and situation.expected_by is None:
        found.append("a day nobody expects")
    return found


@pytest.mark.parametrize("language", Language)
def test_every_situation_is_answered_and_none_with_more_than_is_known(language):
    assert len(EVERYTHING) > 5_000
    wrong = {(language, s.stage.word, s.age): found for s in EVERYTHING if (found := faults(s, language))}
    assert wrong == {}


moments = st.integers(1_577_836_800, 2_051_222_400).map(lambda seconds: dt.datetime.fromtimestamp(seconds, dt.UTC))
money = st.none() | st.builds(Money, st.integers(0, 10**12), st.sampled_from(["EUR", "JPY", "KWD", "CLP"]))


@given(
    situation=st.builds(
        Situation, stage=st.sampled_from(Stage), done_at=moments, age=st.sampled_from(Age),
        family=st.sampled_from(MethodFamily), amount=money, payment_amount=money,
        expected_by=st.none() | st.dates(dt.date(2020, 2, 1), dt.date(2035, 1, 1)), settled_at=st.none() | moments,
        arn=st.sampled_from(["", ARN]), reference_state=st.none() | st.sampled_from(ReferenceState),
        is_claim=st.booleans(), is_reversal=st.booleans(), returned_after_success=st.booleans(),
        is_unrecognized=st.booleans(), is_repeated=st.booleans(), is_unheard=st.booleans(), is_disputed=st.booleans(),
        is_not_cleared=st.booleans(), amounts_differ=st.booleans(),
        cause=st.none() | st.sampled_from(FailureCause), stale=st.sampled_from(["", "silent"]),
        can_be_asked=st.booleans(), reference_follows=st.booleans(),
    ),
    language=st.sampled_from(Language),
)  # fmt: skip
def test_whatever_is_known_the_answer_is_whole_and_honest(situation, language):
    said = [fault for fault in faults(situation, language) if fault != "a day nobody expects"]
    assert said == []
    keys = chosen(situation)
    assert len(set(keys)) == len(keys)
    if situation.is_claim or situation.is_doubtful:
        assert Key.REFERENCE not in keys
        assert not any(key.startswith(("done_", "arrives_", "settled")) for key in keys)


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("key", Key)
def test_every_text_is_there_and_passes_what_a_company_s_own_must_pass(language, key):
    assert problems(key, language, DEFAULTS[language][key]) == []
    assert DEFAULTS[language][key] == DEFAULTS[language][key].strip()


def test_every_text_has_a_situation_that_says_it():
    assert set(samples()) == set(Key)
    for key, situation in samples().items():
        assert key.is_mail or key in chosen(situation)


@pytest.mark.parametrize("language", [lang for lang in Language if lang is not Language.ENGLISH])
def test_no_text_was_left_untranslated(language):
    same = {key for key in Key if DEFAULTS[language][key] == DEFAULTS[Language.ENGLISH][key]}
    assert same == set()


@pytest.mark.parametrize(
    ("language", "formal", "familiar"),
    [
        (Language.GERMAN, r"\b(Sie|Ihnen|Ihre[rnms]?|Ihr)\b", r"\b(du|dich|dir|deine?[rnms]?|euch|euer)\b"),
        (Language.FRENCH, r"\b(vous|votre|vos)\b", r"\b(tu|toi|ton|ta|tes)\b"),
        (Language.SPANISH, r"\b(su|sus|le|usted)\b", r"\b(tú|tu|tus|ti|contigo|vosotros)\b"),
        (Language.PORTUGUESE, r"\b(o seu|a sua|seus|suas|lhe|do seu)\b", r"\b(tu|teu|tua|contigo|você)\b"),
    ],
)
def test_customers_are_addressed_formally(language, formal, familiar):
    whole = " ".join(DEFAULTS[language].values())
    assert re.search(formal, whole)
    assert re.search(familiar, whole, re.I) is None


@pytest.mark.parametrize("name", sorted(connectors()))
def test_every_failure_of_every_processor_has_words_in_every_language(name):
    kind = connectors()[name]
    for code, cause in kind.failure_causes.items():
        situation = replace(PLAIN, stage=Stage.FAILED, cause=cause, reason=kind.failure_reasons[code])
        for language in Language:
            said = explain(situation, language)
            assert Key(f"reason_{cause}") in [sentence.key for sentence in said.sentences]
            assert kind.label not in said.mail
            assert kind.failure_reasons[code] not in said.mail
        assert f"Why: {kind.failure_reasons[code]}" in explain(situation, Language.ENGLISH).meaning


CASES = [
    ("a claim of success", {"stage": Stage.SUCCEEDED, "is_claim": True}, [Key.CLAIMED]),
    ("fresh", {"age": Age.FRESH, "expected_by": MOMENT.date()}, [Key.PENDING, Key.CONFIRM_BY]),
    ("late", {"age": Age.LATE, "expected_by": MOMENT.date()}, [Key.PENDING_LATE]),
    ("stuck", {"age": Age.STUCK}, [Key.PENDING_STUCK]),
    (
        "card, done", {"stage": Stage.SUCCEEDED, "family": MethodFamily.CARD, "expected_by": MOMENT.date()},
        [Key.DONE_CARD, Key.ARRIVES_CARD, Key.REFERENCE_FOLLOWS],
    ),
    (
        "card, done long ago", {"stage": Stage.SUCCEEDED, "family": MethodFamily.CARD, "age": Age.LATE, "arn": ARN},
        [Key.DONE_CARD, Key.OVERDUE_CARD, Key.REFERENCE],
    ),
    ("bank, done", {"stage": Stage.SUCCEEDED, "family": MethodFamily.BANK}, [Key.DONE_BANK]),
    ("reversal", {"stage": Stage.SUCCEEDED, "is_reversal": True, "arn": ARN}, [Key.REVERSED]),
    ("voided", {"stage": Stage.VOIDED, "payment_amount": Money(99_00, "EUR")}, [Key.VOIDED]),
    (
        "failed in a dispute", {"stage": Stage.FAILED, "cause": FailureCause.DISPUTED, "is_disputed": True},
        [Key.FAILED, Key.REASON_DISPUTED],
    ),
    (
        "returned after success", {"stage": Stage.FAILED, "returned_after_success": True},
        [Key.RETURNED_AFTER_SUCCESS, Key.CONTACT],
    ),
    ("unknown word", {"stage": Stage.SUCCEEDED, "is_unrecognized": True, "stale": "silent"}, [Key.CHECKING]),
    ("stale", {"stale": "silent"}, [Key.PENDING, Key.AS_OF]),
    ("part", {"payment_amount": Money(99_00, "EUR")}, [Key.PENDING, Key.PARTIAL]),
    ("not of one currency", {"payment_amount": Money(99_00, "USD")}, [Key.PENDING]),
]  # fmt: skip


@pytest.mark.parametrize(("known", "keys"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_said_and_in_which_order(known, keys):
    assert chosen(replace(PLAIN, **known)) == tuple(keys)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "refund of 1,234.56\u00a0EUR was passed on for payment on 1 March 2026 (UTC)."),
        ("de", "Erstattung über 1.234,56\u00a0EUR wurde am 1. März 2026 (UTC) zur Auszahlung weitergeleitet."),
        ("fr", "remboursement de 1\u202f234,56\u00a0EUR a été transmis pour paiement le 1er mars 2026 (UTC)."),
        ("es", "reembolso de 1234,56\u00a0EUR se transmitió para su pago el 1 de marzo de 2026 (UTC)."),
        ("pt", "reembolso de 1.234,56\u00a0EUR foi transmitido para pagamento em 1 de março de 2026 (UTC)."),
    ],
)
def test_days_and_amounts_are_written_as_the_language_does(language, words):
    moment = dt.datetime(2026, 2, 28, 23, 30, tzinfo=dt.timezone(dt.timedelta(hours=-2)))
    situation = replace(PLAIN, stage=Stage.ACCEPTED, done_at=moment, amount=Money(1_234_56, "EUR"))
    assert words in explain(situation, Language(language)).text


@pytest.mark.parametrize(
    ("money", "shown"),
    [
        (Money(1_234_567, "JPY"), "1,234,567\u00a0JPY"),
        (Money(1_234_567, "KWD"), "1,234.567\u00a0KWD"),
        (Money(1, "EUR"), "0.01\u00a0EUR"),
        (None, "an amount to be confirmed"),
    ],
)
def test_an_amount_has_the_decimals_of_its_currency(money, shown):
    assert f"refund of {shown} is" in explain(replace(PLAIN, amount=money), Language.ENGLISH).text


@pytest.mark.parametrize(
    ("tag", "language"),
    [("de", "de"), ("de-AT", "de"), ("pt_BR", "pt"), (" FR ", "fr"), ("en-GB", "en"), ("nl", None), ("", None)],
)
def test_a_customers_language_is_known_by_its_first_part(tag, language):
    assert language_of(tag) == language


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        (Key.PENDING, "Your refund of {sum} is under way.", "There is no {sum}. Placeholders of this text: {amount}."),
        (Key.PENDING, "By {expected_by}.", "{expected_by} is not known where this text is used."),
        (Key.PENDING, "Your refund of {amount is under way.", "A curly bracket is not closed"),
        (Key.PENDING, "Your refund of {amount!r} is under way.", "Write placeholders plainly"),
        (Key.PENDING, "Your refund of {amount:>9} is under way.", "Write placeholders plainly"),
        (Key.PENDING, "Your refund of {amount.currency} is under way.", "There is no {amount.currency}"),
        (Key.PENDING, "Your refund of {} is under way.", "There is no {}"),
        (Key.PENDING, "You will receive {amount}.", "“will receive” promises what we do not know."),
        (Key.PENDING, "We have sent {amount}.", "“sent” says that it is done"),
        (Key.REFERENCE, "Ask your bank.", "{arn} is missing"),
        (Key.CONTACT, "x" * 601, "The text has 601 characters. Shorten it to 600."),
        (Key.MAIL_SUBJECT, "Your\nrefund", "A subject is one line."),
        (Key.CONTACT, "Please\u200breply.", "characters that cannot be seen"),
    ],
)
def test_a_text_that_may_not_be_said_is_refused_with_what_to_do(key, text, words):
    assert words in " ".join(problems(key, Language.ENGLISH, text))


def test_a_companys_own_text_is_said_instead_of_ours():
    said = explain(PLAIN, Language.ENGLISH, {Key.PENDING: "Hold on, {amount} is on its way to being sent on."})
    assert said.text == "Hold on, 12.34\u00a0EUR is on its way to being sent on."


def test_every_placeholder_is_described():
    assert {name for key in Key for name in key.placeholders} == set(MENTIONS)
