from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from typing import Any

import pytest
from django.apps import apps
from django.core.management.base import CommandError
from django.db import models

from connectors.contract import Secret
from connectors.keyring import ring
from connectors.models import ConnectorAccount, WebhookEndpoint
from refunds.models import Refund
from tests.commands.conftest import Run
from tests.factories import AccountFactory, EndpointFactory, RefundFactory

pytestmark = pytest.mark.django_db

OLD, NEW = f"old:{'11' * 32}", f"new:{'22' * 32}"


@pytest.fixture(autouse=True)
def _sealed_under_the_old_key(settings: Any) -> None:
    settings.FIELD_KEYS = [OLD]
    account = AccountFactory.create()
    account.credentials = account.connector_class.Credentials(api_key=Secret("rk_test_1"))
    account.save()
    endpoint = EndpointFactory.create(accounts=[account])
    endpoint.rotate(endpoint.connector_class.WebhookSecrets(signing_secret=Secret("whsec_1")), overlap=dt.timedelta(0))
    endpoint.save()
    for _ in range(3):
        refund = RefundFactory.create(account=account)
        refund.customer = {"name": "Ada", "email": "ada@example.com"}
        refund.save()
    RefundFactory.create(account=account)


def _readable() -> list[Any]:
    account, endpoint = ConnectorAccount.objects.get(), WebhookEndpoint.objects.get()
    customers = [refund.customer.get("name", "") for refund in Refund.objects.order_by("id")]
    return [account.credentials.api_key.reveal(), endpoint.kept_secrets()[0]["values"]["signing_secret"], customers]


def test_after_rotation_the_new_key_alone_opens_everything(run: Run, settings: Any) -> None:
    before = _readable()
    settings.FIELD_KEYS = [NEW, OLD]
    assert "5       sealed anew" in run("keys", "rotate").out
    settings.FIELD_KEYS = [NEW]
    assert _readable() == before == ["rk_test_1", "whsec_1", ["Ada", "Ada", "Ada", ""]]


def test_rotation_goes_on_where_it_stopped(run: Run, settings: Any) -> None:
    settings.FIELD_KEYS = [NEW, OLD]
    refund = Refund.objects.exclude(sealed_customer=None).first()
    assert refund is not None
    refund.customer = refund.customer
    refund.save()
    said = run("keys", "rotate").out
    assert "4       sealed anew" in said
    assert "1       under the newest key" in said
    assert "sealed anew" not in run("keys", "rotate").out


def test_check_tells_whether_the_old_key_may_go(run: Run, settings: Any) -> None:
    settings.FIELD_KEYS = [NEW, OLD]
    assert "may be dropped" not in run("keys", "check").out
    run("keys", "rotate")
    assert "may be dropped" in run("keys", "check").out


@pytest.mark.parametrize("action", ["rotate", "check"])
def test_what_no_key_opens_is_left_alone_and_told(run: Run, settings: Any, action: str) -> None:
    sealed = bytes(ConnectorAccount.objects.get().sealed_credentials)
    settings.FIELD_KEYS = [NEW]
    with pytest.raises(CommandError, match="5 sealed values do not open"):
        run("keys", action)
    assert bytes(ConnectorAccount.objects.get().sealed_credentials) == sealed


@pytest.mark.parametrize("action", ["rotate", "check"])
def test_a_malformed_key_is_one_clear_message(action: str) -> None:
    environment = os.environ | {"REFUNDDASH_FIELD_KEYS": f"{NEW},old:12ab", "REFUNDDASH_DEBUG": "1"}
    command = [sys.executable, "manage.py", "keys", action]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "REFUNDDASH_FIELD_KEYS: key 2 must read name:64 hex digits" in done.stderr
    assert "Traceback" not in done.stderr
    assert "12ab" not in done.stderr


def test_a_value_moved_to_another_row_does_not_open(run: Run) -> None:
    first, second = Refund.objects.exclude(sealed_customer=None).order_by("id")[:2]
    Refund.objects.filter(pk=first.pk).update(sealed_customer=second.sealed_customer)
    with pytest.raises(CommandError, match="1 sealed values do not open"):
        run("keys", "check")


def test_every_binary_column_that_holds_secrets_is_rotated() -> None:
    """Whoever adds a sealed column names it sealed_..., or says here that it holds no secret."""
    columns = {
        f"{model._meta.label}.{field.name}"
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, models.BinaryField) and not field.name.startswith("sealed_")
    }
    assert columns == {"connectors.WebhookDelivery.body"}
    assert ring()
