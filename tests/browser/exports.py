"""Exports of the world that the browser sees: one in each state."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.http import QueryDict

from refunds.exports import exporting
from refunds.exports.models import Export, ExportState, Format
from refunds.pages.forms import ReportForm
from refunds.pages.reporting import filter_of
from refunds.reconciliation.runs import perform, start_run
from tests.pages.world import World, days


def exports_of(world: World) -> None:
    """Of finance: one that was made and downloaded, one that is being made, a failed one, a canceled one; and a run."""
    finance = User.objects.get(username="finance")
    form = ReportForm(QueryDict(), user=finance)
    assert form.is_valid()
    filters = filter_of(form.cleaned_data).as_json()

    def asked(form: str = Format.CSV) -> Export:
        return exporting.start_export("refunds", filters, form=form, actor=finance)

    done, running, failed, canceled = asked(), asked(Format.XLSX), asked(Format.PARQUET), asked()
    assert exporting.perform(done)
    for _ in exporting.download(done, exporting.person_of(finance)):
        pass
    exporting.cancel(canceled)
    Export.objects.filter(pk=failed.pk).update(state=ExportState.FAILED, error="OSError: No space left on device")
    Export.objects.filter(pk=running.pk).update(state=ExportState.RUNNING, seen=40, expected=100, rows=40)
    made_at = world.succeeded.created_at
    perform(start_run([world.asked, world.told], since=made_at - days(90), until=made_at + days(1)))
