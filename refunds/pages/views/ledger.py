"""Our books: hand in a file of entries, see what was kept of each and which rows were refused."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from refunds.pages.access import SignedInRequest, allowed
from refunds.pages.forms import AccountChoice
from refunds.permissions import Action, accounts_of, may
from refunds.reconciliation.book_files import import_ledger
from refunds.reconciliation.books import Source
from refunds.reconciliation.ledger_file import COLUMNS, BadLedgerFile
from refunds.reconciliation.models import LedgerImport

_ON_A_PAGE = 50
MAXIMUM_UPLOAD_BYTES = 16 * 1024 * 1024
"""It is read while the person waits; larger files go by command."""


class LedgerForm(forms.Form):
    """A file of entries, and under which headings our columns stand in it."""

    account = AccountChoice(None, to_field_name="name", empty_label=None)
    file = forms.FileField(
        label="File of entries", allow_empty_file=True, widget=forms.FileInput(attrs={"accept": ".csv,text/csv"})
    )

    def __init__(self, data: object, files: object, *, user: User) -> None:
        super().__init__(data, files)  # type: ignore[arg-type]
        field = self.fields["account"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = accounts_of(user)
        for name in COLUMNS:
            label = name.replace("_", " ").capitalize()
            self.fields[f"column_{name}"] = forms.CharField(label=label, max_length=200, required=False)

    @property
    def headings(self) -> list[forms.BoundField]:
        return [self[f"column_{name}"] for name in COLUMNS]

    @property
    def columns(self) -> dict[str, str] | None:
        """None where nothing is said: then it is as in the account's last file."""
        said = {name: str(self.cleaned_data[f"column_{name}"]).strip() for name in COLUMNS}
        return {name: heading for name, heading in said.items() if heading} or None

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
    form = LedgerForm(request.POST or None, request.FILES or None, user=request.user)
    if request.method == "POST" and form.is_valid():
        done = _import(request, form)
        if done is not None:
            return redirect("ledger_import", pk=done.pk)
    page = Paginator(_visible(request), _ON_A_PAGE).get_page(request.GET.get("page"))
    context = {"form": form, "page": page, "may_import": may_import}
    return render(request, "refunds/ledger.html", context, status=400 if form.errors else 200)


def _visible(request: SignedInRequest) -> QuerySet[LedgerImport]:
    found = LedgerImport.objects.filter(account__in=accounts_of(request.user))
    return found.select_related("account", "created_by").order_by("-id")


def _import(request: SignedInRequest, form: LedgerForm) -> LedgerImport | None:
    account, file = form.cleaned_data["account"], form.cleaned_data["file"]
    try:
        done = import_ledger(
            account, file.name, file.file, source=Source.UPLOAD, columns=form.columns, by=request.user
        )  # fmt: skip
    except BadLedgerFile as error:
        form.add_error("file", f"{file.name}: {error}")
        return None
    say = messages.warning if done.refused else messages.success
    say(request, f"{done.entries} entries were kept, {done.known} were here already, {done.refused} were refused.")
    return done


@require_safe
@allowed(Action.SEE_RECONCILIATION)
def ledger_import(request: SignedInRequest, pk: int) -> HttpResponse:
    found = _visible(request).filter(pk=pk).first()
    if found is None:
        raise Http404("There is no such import.")
    errors = Paginator(found.row_errors.all(), _ON_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "refunds/ledger_import.html", {"done": found, "page": errors})
