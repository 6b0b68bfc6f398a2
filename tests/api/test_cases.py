"""Case work over the API."""

from __future__ import annotations

import pytest

from refunds.cases import changing
from refunds.cases.models import Case, Change, Note
from refunds.models import Scope
from refunds.permissions import Role
from tests.api.conftest import Caller, caller
from tests.factories import AccountFactory, RefundFactory, UserFactory

pytestmark = pytest.mark.django_db
READ, WORK = (Scope.REFUNDS_READ, Scope.CASES_READ), (Scope.REFUNDS_READ, Scope.CASES_READ, Scope.CASES_WRITE)


@pytest.fixture
def refund(account):
    return RefundFactory.create(account=account)


@pytest.fixture
def helpdesk() -> Caller:
    return caller(*WORK)


@pytest.fixture
def grace(db):
    return UserFactory.create(username="grace", role=Role.SUPPORT)


def address(refund, more="case/"):
    return f"/api/refunds/{refund.pk}/{more}"


def test_a_refund_nobody_has_worked_on_has_an_empty_case(helpdesk, refund):
    case = helpdesk.get(address(refund)).json()
    assert case == {
        "refund_id": refund.pk, "assignee": None, "follow_up_on": None, "ticket_url": None, "tags": [],
        "note_count": 0, "version": 0, "changed_at": None, "notes": [],
    }  # fmt: skip
    assert not Case.objects.exists()


def test_a_case_is_changed_and_read_back(helpdesk, refund, grace):
    body = {"assignee": "grace", "follow_up_on": "2026-12-24", "ticket_url": "https://t.example.com/1",
            "add_tags": ["VIP", "Bank Letter"]}  # fmt: skip
    changed = helpdesk.post(address(refund), body)
    assert changed.status_code == 200
    case = helpdesk.get(address(refund)).json()
    assert case == changed.json()
    assert (case["assignee"], case["follow_up_on"], case["tags"]) == ("grace", "2026-12-24", ["bank-letter", "vip"])
    case = helpdesk.post(address(refund), {"assignee": None, "ticket_url": None, "remove_tags": ["vip"]}).json()
    assert (case["assignee"], case["ticket_url"], case["tags"]) == (None, None, ["bank-letter"])
    assert case["follow_up_on"] == "2026-12-24"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"assignee": "nobody"}, "assignee"), ({"assignee": 7}, "assignee"), ({"follow_up_on": "soon"}, "follow_up_on"),
        ({"follow_up_on": "20261224"}, "follow_up_on"), ({"add_tags": ["a@b"]}, "add_tags"), ({"colour": 1}, "colour"),
        ({"ticket_url": "http://t.example.com/"}, "body"), ({"add_tags": "vip"}, "add_tags"),
        ({"add_tags": ["x"] * 21}, "add_tags"), ({"follow_up_on": "1066-10-14"}, "body"), ([], "body"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_nothing_is_half_done(helpdesk, refund, body, field):
    sound = {"add_tags": ["kept-out"]} if isinstance(body, dict) and "add_tags" not in body else {}
    response = helpdesk.post(address(refund), {**sound, **body} if isinstance(body, dict) else body)
    assert response.status_code == 400
    assert field in response.json()["error"]["fields"]
    assert not Change.objects.exists()


def test_somebody_who_only_reads_cannot_be_given_a_refund(helpdesk, refund):
    UserFactory.create(username="auditor", role=Role.AUDITOR)
    assert helpdesk.post(address(refund), {"assignee": "auditor"}).status_code == 400


def test_a_note_is_written_once_by_its_reference(helpdesk, refund):
    body = {"text": "The bank asks for a letter.", "reference": "h-1"}
    first, again = (helpdesk.post(address(refund, "notes/"), body) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["author"] == "API: test"
    assert [note["text"] for note in helpdesk.get(address(refund)).json()["notes"]] == [body["text"]]


def test_an_edit_names_the_version_it_was_made_of(helpdesk, refund):
    note = helpdesk.post(address(refund, "notes/"), {"text": "one"}).json()
    path = address(refund, f"notes/{note['id']}/")
    assert helpdesk.post(path, {"version": 1, "text": "two"}).json()["version"] == 2
    response = helpdesk.post(path, {"version": 1, "text": "three"})
    assert (response.status_code, response.json()["error"]["code"]) == (409, "conflict")
    assert "API: test changed this note while you were writing." in response.json()["error"]["message"]
    assert helpdesk.get(address(refund)).json()["notes"][0]["text"] == "two"


def test_a_note_is_deleted_and_brought_back(helpdesk, refund):
    note = helpdesk.post(address(refund, "notes/"), {"text": "one"}).json()
    path = address(refund, f"notes/{note['id']}/")
    gone = helpdesk.post(path, {"deleted": True}).json()
    assert gone["text"] is None
    assert gone["deleted_at"] is not None
    assert helpdesk.get(address(refund)).json()["note_count"] == 0
    assert helpdesk.post(path, {"deleted": False}).json()["text"] == "one"
    words = [line["words"] for line in helpdesk.get(address(refund, "case/history/")).json()["results"]]
    assert words == ["brought a note back", "deleted a note", "wrote a note"]


@pytest.mark.parametrize("body", [{}, {"version": 1}, {"text": "x"}, {"version": 1, "text": "x", "deleted": True},
                                  {"deleted": "yes"}, {"version": "1", "text": "x"[:0]}])  # fmt: skip
def test_half_an_edit_is_refused(helpdesk, refund, body):
    note = helpdesk.post(address(refund, "notes/"), {"text": "one"}).json()
    assert helpdesk.post(address(refund, f"notes/{note['id']}/"), body).status_code == 400
    assert Note.objects.get().version == 1


def test_a_note_with_a_card_number_is_refused(helpdesk, refund):
    response = helpdesk.post(address(refund, "notes/"), {"text": "card 4242 4242 4242 4242"})
    assert response.json()["error"]["fields"] == {"text": "holds what looks like a full card number; never send one"}


def test_another_accounts_refund_has_no_case_for_a_token(refund, grace):
    changing.tag([refund.pk], "vip", by=grace)
    stranger = caller(*WORK, accounts=[AccountFactory.create()])
    for path in ("case/", "case/history/"):
        assert stranger.get(address(refund, path)).status_code == 404
    assert stranger.post(address(refund), {"add_tags": ["x"]}).status_code == 404
    assert stranger.post(address(refund, "notes/"), {"text": "x"}).status_code == 404
    assert stranger.get("/api/cases/").json() == {"next": None, "results": []}


def test_a_note_is_found_only_under_its_own_refund(helpdesk, refund):
    note = helpdesk.post(address(refund, "notes/"), {"text": "one"}).json()
    other = RefundFactory.create(account=refund.account)
    response = helpdesk.post(address(other, f"notes/{note['id']}/"), {"deleted": True})
    assert response.status_code == 404


@pytest.mark.parametrize(
    ("query", "numbers"),
    [({}, [2, 1, 0]), ({"assignee": "grace"}, [0]), ({"tag": "VIP"}, [1, 0]), ({"with_notes": "true"}, [2]),
     ({"with_notes": "false"}, [1, 0]), ({"follow_up_until": "2026-12-24"}, [1]), ({"assignee": "ada"}, [])],
)  # fmt: skip
def test_cases_are_listed_by_what_they_are(helpdesk, account, grace, query, numbers):
    made = [RefundFactory.create(account=account) for _ in range(4)]
    helpdesk.post(address(made[0]), {"assignee": "grace", "add_tags": ["vip"]})
    helpdesk.post(address(made[1]), {"add_tags": ["vip"], "follow_up_on": "2026-12-24"})
    helpdesk.post(address(made[2], "notes/"), {"text": "x"})
    found = [case["refund_id"] for case in helpdesk.get("/api/cases/", **query).json()["results"]]
    assert found == [made[number].pk for number in numbers]


def test_pages_of_cases_and_of_history_follow_one_another(helpdesk, account):
    made = [RefundFactory.create(account=account) for _ in range(5)]
    for refund in made:
        helpdesk.post(address(refund), {"add_tags": ["one", "two", "three"]})
    seen, link = [], "/api/cases/?page_size=2"
    while link:
        page = helpdesk.client.get(link).json()
        seen += [case["refund_id"] for case in page["results"]]
        link = page["next"]
    assert seen == [refund.pk for refund in reversed(made)]
    words, link = [], address(made[0], "case/history/?page_size=2")
    while link:
        page = helpdesk.client.get(link).json()
        words += [line["words"] for line in page["results"]]
        link = page["next"]
    assert words == ["added the tag three", "added the tag two", "added the tag one"]


def test_a_token_that_only_reads_cannot_write(refund):
    reader = caller(*READ)
    assert reader.get(address(refund)).status_code == 200
    assert reader.post(address(refund), {"add_tags": ["x"]}).status_code == 403
    assert reader.post(address(refund, "notes/"), {"text": "x"}).status_code == 403
