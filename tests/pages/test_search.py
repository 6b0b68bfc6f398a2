"""Search: paste anything."""

from __future__ import annotations

import zoneinfo
from urllib.parse import quote

import httpx
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from connectors.contract import Money, Stage
from refunds import services
from refunds.identifiers import read
from refunds.models import Refund
from refunds.pages import searching
from refunds.pages.viewer import Viewer
from tests.factories import AccountFactory, RefundFactory
from tests.pages import world as worlds
from tests.pages.test_listing import ids


def search(text: str) -> str:
    return f"/search/?q={quote(text)}"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("pasted", "by"),
    [
        ("re_3QkA7dLkdIwHu7ix0hJmW9Zc", "refund id"),
        ("pi_3QkA7dLkdIwHu7ix0Xv5bTgR", "payment id"),
        ("RF-2026-004711", "merchant refund id"),
        ("SO-88213", "order"),
        ("Order: SO-88213", "order"),
        (worlds.ARN, "ARN"),
        (f"{worlds.ARN[:4]} {worlds.ARN[4:]}", "ARN"),
        ("129.90 EUR", "amount"),
        ("129,90 €", "amount"),
        ("4242", "last four digits"),
        ("https://processor.example/payments/pi_3QkA7dLkdIwHu7ix0Xv5bTgR", "payment id"),
    ],
)
def test_one_hit_opens_the_refund_and_says_by_what_it_was_found(world, support, pasted, by):
    response = support.client.get(search(pasted), follow=True)
    assert response.redirect_chain == [(f"/refunds/{world.succeeded.pk}/", 302)]
    assert f"Found by {by}: " in response.content.decode()


@pytest.mark.django_db
def test_the_other_id_of_a_payment_finds_it_too(support):
    refund = RefundFactory.create(connector_transaction_id="pi_1", other_transaction_id="ch_1")
    assert support.client.get(search("ch_1"))["Location"] == f"/refunds/{refund.pk}/"


@pytest.mark.django_db
def test_a_retrieval_reference_number_finds_its_refund(support):
    refund = RefundFactory.create(acquirer_reference_number="123456789012")
    assert support.client.get(search("123456789012"))["Location"] == f"/refunds/{refund.pk}/"


@pytest.mark.django_db
def test_an_email_finds_every_refund_of_the_customer_newest_first(world, support):
    page = support.page(search("ADA@example.com"))
    assert ids(page) == [world.differing.connector_refund_id, world.succeeded.connector_refund_id]
    assert "a customer&#x27;s e-mail address" in page


@pytest.mark.django_db
def test_the_claimed_amount_finds_a_refund_too(world, support):
    assert support.client.get(search("USD 55.00"))["Location"] == f"/refunds/{world.differing.pk}/"
    assert support.client.get(search("USD 50.00"))["Location"] == f"/refunds/{world.differing.pk}/"


@pytest.mark.django_db
def test_an_amount_is_looked_up_in_each_processors_own_units(support):
    whole = RefundFactory.create(
        account=AccountFactory.create(connector="stripe"), processor_currency="CLP", processor_minor_amount=1_250
    )
    hundredths = RefundFactory.create(
        account=AccountFactory.create(connector="adyen"), processor_currency="CLP", processor_minor_amount=125_000
    )
    RefundFactory.create(
        account=AccountFactory.create(connector="adyen"), processor_currency="CLP", processor_minor_amount=1_250
    )
    found = ids(support.page(search("1.250 CLP")))
    assert sorted(found) == sorted([whole.connector_refund_id, hundredths.connector_refund_id])


@pytest.mark.django_db
def test_a_date_finds_the_refunds_of_that_day(world, support):
    day = world.stuck.created_at.strftime("%Y-%m-%d")
    response = support.client.get(search(day))
    assert response["Location"] == f"/refunds/{world.stuck.pk}/"


@pytest.mark.django_db
def test_the_beginning_of_an_id_is_enough_but_never_opens_a_page_by_itself(world, support):
    page = support.page(search("re_3QkA7dLkd"))
    assert ids(page) == [world.succeeded.connector_refund_id]
    assert "these begin with it" in page


@pytest.mark.django_db
def test_several_lines_give_a_table_of_what_was_found_and_what_not(world, support):
    page = support.page(search("SO-88213\nre_nobody_knows\nada@example.com\n48.00 EUR"))
    assert "3 of 4 lines found" in page
    assert page.count("Not found") == 1
    assert world.returned.connector_refund_id in page


@pytest.mark.django_db
def test_many_lines_cost_no_more_queries_than_two(world, support):
    with CaptureQueriesContext(connection) as two:
        support.page(search("re_000001\nre_000002"))
    with CaptureQueriesContext(connection) as many:
        support.page(search("\n".join(f"re_{n:06d}" for n in range(100))))
    assert len(many) == len(two)


@pytest.mark.django_db
def test_whatever_is_one_value_of_one_column_costs_one_statement(world, django_assert_num_queries):
    pasted = read(f"{world.succeeded.connector_refund_id}\nSO-88213\n{worlds.ARN}\nada@example.com\n**** 4242")
    with django_assert_num_queries(1):
        found = searching.search(Refund.objects.all(), pasted, Viewer(User(), zoneinfo.ZoneInfo("UTC")))
        assert all(world.succeeded in each.refunds for each in found)
    with django_assert_num_queries(2):
        [beginning] = searching.search(Refund.objects.all(), read("RF-2026"), Viewer(User(), zoneinfo.ZoneInfo("UTC")))
    assert beginning.by_prefix
    assert world.succeeded in beginning.refunds


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("pasted", "advice"),
    [
        ("SO-99999", "Nothing found for “SO-99999”"),
        (worlds.ARN[:-1] + "0", "Its check digit does not match: a digit may be mistyped."),
        ("77.77", "To search for an amount, add its currency: 77.77 EUR."),
    ],
)
def test_an_empty_result_says_what_to_try(world, support, pasted, advice):
    assert advice in support.page(search(pasted))


@pytest.mark.django_db
def test_an_empty_search_explains_itself(support):
    assert "Several lines at once are looked up one by one." in support.page("/search/")


@pytest.mark.django_db
def test_the_processor_is_asked_about_an_id_nobody_knows(world, support):
    assert 'value="re_new"' in support.page(search("re_new"))
    with services.processors_replaced_by(httpx.MockTransport(knows)):
        response = support.client.post("/search/ask/", {"account": "shop-eu", "refund_id": "re_new"})
    found = Refund.objects.get(connector_refund_id="re_new")
    assert response["Location"] == f"/refunds/{found.pk}/"
    assert found.status == "SUCCEEDED"


def knows(request: httpx.Request) -> httpx.Response:
    wire = {"id": "re_new", "object": "refund", "amount": 1234, "currency": "eur", "status": "succeeded",
            "created": 1773482400, "payment_intent": "pi_1", "metadata": {}}  # fmt: skip
    return httpx.Response(200, json=wire)


@pytest.mark.django_db
def test_a_processor_that_does_not_know_it_either_is_quoted(world, support):
    nobody = httpx.MockTransport(lambda request: httpx.Response(404, json={"error": {"code": "resource_missing"}}))
    with services.processors_replaced_by(nobody):
        response = support.client.post("/search/ask/", {"account": "shop-eu", "refund_id": "re_new"})
    assert "does not know this refund" in response.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("account", ["marketplace", "nobody"])
def test_only_accounts_that_can_be_asked_are_asked(world, support, account):
    response = support.client.post("/search/ask/", {"account": account, "refund_id": "re_new"})
    assert "There is no such account, or you may not see it." in response.content.decode()


@pytest.mark.django_db
def test_asking_is_not_offered_for_what_is_no_id(world, support):
    assert "Ask the processor" in support.page(search("re_new"))
    for pasted in ("nobody@example.com", "99.99 EUR", "1999-01-01"):
        assert "Ask the processor" not in support.page(search(pasted))


@pytest.mark.django_db
def test_hits_are_cut_off_and_said_to_be(support):
    account = AccountFactory.create()
    for number in range(60):
        RefundFactory.create(account=account, merchant_order_id="SO-1", connector_refund_id=f"re_{number}")
    page = support.page(search("SO-1"))
    assert len(ids(page)) == searching.MAXIMUM_HITS
    assert "50 newest refunds found" in page


@pytest.mark.django_db
@pytest.mark.parametrize(
    "pasted",
    ["re_1", worlds.ARN, "123456789012", "ada@example.com", "12.34 EUR", "4242", "2026-03-14", "re_beginning"],
)
def test_every_lookup_uses_an_index(pasted):
    with CaptureQueriesContext(connection) as queries:
        searching.search(Refund.objects.all(), read(pasted), Viewer(User(), zoneinfo.ZoneInfo("UTC")))
    for query in queries:
        plan = explained(query["sql"])
        assert "SCAN refunds_refund" not in plan or "USING INDEX" in plan, f"{query['sql']}\n{plan}"
        assert "Seq Scan on refunds_refund" not in plan, f"{query['sql']}\n{plan}"


def explained(sql: str) -> str:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {sql}")
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        return "\n".join(str(row) for row in cursor.fetchall())


@pytest.mark.django_db
def test_what_was_pasted_comes_back_as_text(world, support):
    hostile = "<script>alert(1)</script>"
    for pasted in (hostile, f"{hostile}\nre_2"):
        page = support.page(search(pasted))
        assert hostile not in page
        assert "&lt;script&gt;" in page


HOSTILE = [
    "x" * 10_000, "9" * 10_000, "\U0001f4b8" * 300, "' OR 1=1; DROP TABLE refunds_refund; --", "%_\\*?", "\u202eabc",
    "\0\x1b[31m", "{{ 7*7 }}", "\n" * 5_000, ",".join(f"re_{n:06d}" for n in range(2_000)), "e\u0301" * 500, "\ud800",
    "9" * 300 + " EUR", "1e999 EUR", "--help", "../../etc/passwd", "a@b." + "c" * 300,
]  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("pasted", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("path", ["/search/", "/search/suggest/"])
def test_nothing_that_is_pasted_breaks_the_box_or_finds_what_it_should_not(world, support, pasted, path):
    query = quote(pasted, errors="surrogatepass")
    answer = support.client.get(f"{path}?q={query}", headers={"HX-Request": "true"} if "suggest" in path else {})
    assert answer.status_code == 200
    page = answer.content.decode()
    assert world.succeeded.connector_refund_id not in page
    assert Refund.objects.count() > 3


@pytest.mark.django_db
def test_a_story_told_twice_is_found_once(support):
    account = AccountFactory.create()
    worlds.Story(account, "re_1", Money(1234, "EUR"), age=worlds.days(1)).registered().told(
        Stage.SUCCEEDED, "succeeded", after=worlds.days(0.1)
    )
    refund = Refund.objects.get()
    assert support.client.get(search("12.34 EUR"))["Location"] == f"/refunds/{refund.pk}/"


@pytest.mark.django_db
@pytest.mark.parametrize("pasted", ["9999-12-31", "31.12.9999", "0001-01-01"])
def test_a_day_at_the_end_of_the_calendar_is_not_understood_as_a_day(support, pasted):
    page = support.page(search(pasted))
    assert "Nothing found" in page
    assert "the day a refund was made" not in page


@pytest.mark.django_db
def test_a_negative_amount_finds_nothing_and_says_why(world, support):
    page = support.page(search("-129.90 EUR"))
    assert "Nothing found" in page
    assert "No refund has a negative amount. Search without the minus: 129.90 EUR." in page


# What else it may mean, and what is found while typing.


@pytest.mark.django_db
def test_each_meaning_says_how_many_it_found_and_can_be_looked_at_alone(support):
    by_card = RefundFactory.create(card_last4="7788")
    by_order = RefundFactory.create(merchant_order_id="7788", card_last4="")
    page = support.page(search("7788"))
    assert sorted(ids(page)) == sorted([by_card.connector_refund_id, by_order.connector_refund_id])
    assert page.count(">1 refund</a>") == 2
    assert support.client.get(search("7788") + "&as=1")["Location"] == f"/refunds/{by_card.pk}/"
    assert support.client.get(search("7788") + "&as=2")["Location"] == f"/refunds/{by_order.pk}/"


@pytest.mark.django_db
def test_a_meaning_looked_at_alone_leads_back_to_the_others(support):
    RefundFactory.create_batch(2, card_last4="7788")
    page = support.page(search("7788") + "&as=1")
    assert len(ids(page)) == 2
    assert "What else it may mean" in page
    assert "What else it may mean" not in support.page(search("7788"))


@pytest.mark.django_db
@pytest.mark.parametrize("way", ["0", "9", "-1", "x", "\u0661", ""])
def test_a_meaning_that_is_not_there_is_the_whole_search(support, way):
    RefundFactory.create_batch(2, card_last4="7788")
    assert len(ids(support.page(search("7788") + "&as=" + quote(way)))) == 2


def suggested(support, text: str) -> str:
    answer = support.client.get(f"/search/suggest/?q={quote(text)}", headers={"HX-Request": "true"})
    assert answer.status_code == 200
    fragment: str = answer.content.decode()
    return fragment


@pytest.mark.django_db
def test_what_is_recognised_is_found_while_it_is_being_typed(world, support):
    found = suggested(support, worlds.ARN)
    assert f'href="/refunds/{world.succeeded.pk}/"' in found
    assert "acquirer reference number" in found
    assert 'hx-swap-oob="innerHTML:#announcement"' in found
    begun = suggested(support, "re_3QkA7dLk")
    assert "These begin with it" in begun
    assert f'href="/refunds/{world.succeeded.pk}/"' in begun


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["", "  ", "re", "refund", "48", "hello world", "😀", "<b>bold</b>"])
def test_nothing_is_looked_up_before_it_is_known_what_it_may_be(world, support, text):
    with CaptureQueriesContext(connection) as asked:
        found = suggested(support, text)
    assert "href" not in found
    assert not [query for query in asked if "refunds_refund" in query["sql"]]


@pytest.mark.django_db
def test_what_is_not_found_says_what_to_do_and_advice_comes_first(support):
    assert "Press Enter for what else to try" in suggested(support, "re_1NobodyKnows")
    assert "An ARN has 23 digits, this has 22" in suggested(support, "7" * 22)
    assert "3 lines. Press Enter" in suggested(support, "re_123456 re_234567 re_345678")


@pytest.mark.django_db
def test_many_suggestions_are_cut_off_with_a_way_to_all(support):
    RefundFactory.create_batch(8, card_last4="7788")
    found = suggested(support, "7788")
    assert found.count('href="/refunds/') == 6
    assert 'href="/search/?q=7788"' in found
    assert "All 8" in found


@pytest.mark.django_db
def test_suggestions_are_for_who_may_read_refunds_only(client):
    assert client.get("/search/suggest/?q=4242").status_code in (302, 403)
