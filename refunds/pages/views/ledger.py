"""Our books: hand in a file of entries, see what came of each and which rows were refused, try a refused one again."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from refunds.pages.access import SignedInRequest, allowed
from refunds.pages.forms import AccountChoice, choose_from
from refunds.permissions import Action, accounts_of, may
from refunds.reconciliation.book_files import NothingToTry, import_ledger, try_again
from refunds.reconciliation.books import Source
from refunds.reconciliation.ledger_file import COLUMNS, BadLedgerFile
from refunds.reconciliation.models import ColumnMapping, LedgerImport

_ON_A_PAGE = 50
MAXIMUM_UPLOAD_BYTES = 16 * 1024 * 1024
"""It is read while the person waits; larger files go by command."""


class HeadingsForm(forms.Form):
    """Under which headings of a file our columns stand."""

    def __init__(self, *given: Any, **said: Any) -> None:
        super().__init__(*given, **said)
        for name in COLUMNS:
            label = name.replace("_", " ").capitalize()
            self.fields[f"column_{name}"] = forms.CharField(label=label, max_length=200, required=False)

    @classmethod
    def of(cls, done: LedgerImport) -> HeadingsForm:
        """As a file was read when it was refused."""
        assert done.account is not None
        columns = ColumnMapping.of(done.account) if done.columns is None else done.columns
        return cls(initial={f"column_{name}": heading for name, heading in columns.items()})

    @property
    def headings(self) -> list[forms.BoundField]:
        return [self[f"column_{name}"] for name in COLUMNS]

    @property
    def columns(self) -> dict[str, str]:
        said = {name: str(self.cleaned_data[f"column_{name}"]).strip() for name in COLUMNS}
        return {name: heading for name, heading in said.items() if heading}


class LedgerForm(HeadingsForm):
    """A file of entries, and under which headings our columns stand in it."""

    account = AccountChoice(None, to_field_name="name", empty_label=None)
    file = forms.FileField(
        label="File of entries", allow_empty_file=True, widget=forms.FileInput(attrs={"accept": ".csv,text/csv"})
    )

    def __init__(self, data: object, files: object, *, user: User) -> None:
        super().__init__(data, files)
        choose_from(self, "account", accounts_of(user))

    def clean_file(self) -> object:
        file = self.cleaned_data["file"]
        if file.size > MAXIMUM_UPLOAD_BYTES:
            raise forms.ValidationError("The file is larger than 16 MiB. Import it by `manage.py ledger import`.")
        return file


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Action.SEE_RECONCILIATION)
def ledger(request: SignedInRequest) -> HttpResponse:
    """The imports, and for finance the form; a file that was taken leads to its own page."""
    may_import = may(request.user, Action.RECONCILE)
    if request.method == "POST" and not may_import:
        raise PermissionDenied(f"Your role does not allow you to {Action.RECONCILE}.")
    form, kept = LedgerForm(request.POST or None, request.FILES or None, user=request.user), None
    if request.method == "POST" and form.is_valid():
        try:
            return redirect("ledger_import", pk=_import(request, form).pk)
        except BadLedgerFile as error:
            form.add_error("file", f"{form.cleaned_data['file'].name}: {error}")
            kept = error.kept
    page = Paginator(_visible(request), _ON_A_PAGE).get_page(request.GET.get("page"))
    context = {"form": form, "page": page, "may_import": may_import, "kept": kept}
    return render(request, "refunds/ledger.html", context, status=400 if form.errors else 200)


def _visible(request: SignedInRequest) -> QuerySet[LedgerImport]:
    found = LedgerImport.objects.filter(account__in=accounts_of(request.user))
    return found.select_related("account", "created_by").order_by("-id")


def _import(request: SignedInRequest, form: LedgerForm) -> LedgerImport:
    account, file = form.cleaned_data["account"], form.cleaned_data["file"]
    # Where nothing is said, it is as in the account's last file.
    done = import_ledger(
        account, file.name, file.file, source=Source.UPLOAD, columns=form.columns or None, by=request.user
    )  # fmt: skip
    _say(request, done)
    return done


def _say(request: SignedInRequest, done: LedgerImport) -> None:
    say = messages.warning if done.refused else messages.success
    say(request, f"{done.entries} entries were kept, {done.known} were here already, {done.refused} were refused.")


@require_safe
@allowed(Action.SEE_RECONCILIATION)
def ledger_import(request: SignedInRequest, pk: int) -> HttpResponse:
    done = _one(request, pk)
    return _page(request, done, HeadingsForm.of(done))


@require_POST
@allowed(Action.RECONCILE)
def ledger_again(request: SignedInRequest, pk: int) -> HttpResponse:
    """Another try with a refused file as it was kept, under the headings that are said now."""
    done, form = _one(request, pk), HeadingsForm(request.POST)
    if not form.is_valid():
        return _page(request, done, form)
    if done.size_bytes > MAXIMUM_UPLOAD_BYTES:
        messages.warning(request, f"The file is larger than 16 MiB. Try it again by `manage.py ledger again {pk}`.")
        return redirect("ledger_import", pk=pk)
    try:
        _say(request, try_again(done, columns=form.columns, by=request.user))
    except NothingToTry as error:
        messages.warning(request, str(error))
    except BadLedgerFile:
        messages.error(request, "Nothing of the file was imported this time either; here is why.")
    return redirect("ledger_import", pk=pk)


def _one(request: SignedInRequest, pk: int) -> LedgerImport:
    found = _visible(request).filter(pk=pk).first()
    if found is None:
        raise Http404("There is no such import.")
    return found


def _page(request: SignedInRequest, done: LedgerImport, form: HeadingsForm) -> HttpResponse:
    errors = Paginator(done.row_errors.all(), _ON_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "done": done,
        "page": errors,
        "form": form,
        "may_try_again": may(request.user, Action.RECONCILE),
        "by_command_only": done.size_bytes > MAXIMUM_UPLOAD_BYTES,
    }
    return render(request, "refunds/ledger_import.html", context, status=400 if form.errors else 200)
