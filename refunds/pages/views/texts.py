"""Texts for customers: what is said, in which version, and by whom it was written; edit with a preview, restore."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.models import ADDITION, LogEntry
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from refunds import services
from refunds.explaining import Key, Language, language_of
from refunds.explaining.keys import MENTIONS
from refunds.explaining.languages import DEFAULT
from refunds.explaining.texts import DEFAULTS
from refunds.models import CustomerText
from refunds.pages.access import SignedInRequest, allowed
from refunds.pages.previewing import NoSuchRefund, Preview, preview
from refunds.permissions import Action

_NEWEST_VERSIONS = 50


class TextForm(forms.Form):
    """A draft. `seen` is the version its writer knew; `refund` one to preview it on."""

    text = forms.CharField(
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 5, "autocomplete": "off", "spellcheck": "true"}),
    )
    seen = forms.IntegerField(min_value=0, widget=forms.HiddenInput())
    refund = forms.CharField(
        required=False, max_length=255, label="Preview on a refund (its id here or at the processor)",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )  # fmt: skip


@require_safe
@allowed(Action.EDIT_TEXTS)
def texts(request: SignedInRequest) -> HttpResponse:
    """Every text of one language, as it is said today."""
    language = language_of(request.GET.get("language", "")) or DEFAULT
    newest: dict[str, CustomerText] = {}
    for row in CustomerText.objects.filter(language=language).order_by("version"):
        newest[row.key] = row
    rows = [
        {"key": key, "said": newest[key].text if _is_own(newest.get(key)) else DEFAULTS[language][key],
         "is_own": _is_own(newest.get(key)), "version": newest.get(key)}
        for key in Key
    ]  # fmt: skip
    return render(request, "texts/texts.html", {"language": language, "languages": list(Language), "rows": rows})


def _is_own(row: CustomerText | None) -> bool:
    return row is not None and bool(row.text)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Action.EDIT_TEXTS)
def text(request: SignedInRequest, language: str, key: str) -> HttpResponse:
    """One text: GET shows it with a preview, POST previews a draft or writes it as a new version."""
    of, lang = _key(key), _language(language)
    if request.method == "POST":
        form = TextForm(request.POST)
        if form.is_valid() and "save" in request.POST and _save(request, form, of, lang):
            return redirect("text", language=lang, key=of)
    else:
        said = services.texts_of(lang).get(of, DEFAULTS[lang][of])
        seen = services.newest_version(of, lang)
        form = TextForm(initial={"text": said, "seen": seen, "refund": request.GET.get("refund", "")})
    return _page(request, form, of, lang)


def _save(request: SignedInRequest, form: TextForm, key: Key, language: Language) -> bool:
    draft, seen = form.cleaned_data["text"], form.cleaned_data["seen"]
    if not draft.strip():
        form.add_error("text", "Write a text, or go back to ours below.")
        return False
    return _write(request, form, key, language, draft, seen_version=seen)


def _write(
    request: SignedInRequest, form: TextForm, key: Key, language: Language, draft: str, *, seen_version: int
) -> bool:  # fmt: skip
    try:
        written = services.write_text(
            key, language, draft, by=request.user.get_username(), seen_version=seen_version
        )  # fmt: skip
    except services.TextRefused as error:
        for problem in error.problems:
            form.add_error("text", problem)
        return False
    except services.TextChangedMeanwhile:
        form.add_error(
            None, "Somebody else has written a version meanwhile: it is in the history. Save again to go on with yours."
        )
        # Whoever saves again has seen theirs.
        form.data = {**form.data.dict(), "seen": services.newest_version(key, language)}  # type: ignore[attr-defined]
        return False
    _note(request, written)
    messages.success(request, f"Version {written.version} is what is said from now on.")
    return True


@require_POST
@allowed(Action.EDIT_TEXTS)
def restore(request: SignedInRequest, language: str, key: str) -> HttpResponse:
    """Write an older version once more; version 0 is our own text."""
    of, lang = _key(key), _language(language)
    number = request.POST.get("version", "")
    rows = CustomerText.objects.filter(key=of, language=lang)
    old = rows.filter(version=int(number)).first() if number.isdecimal() and len(number) < 10 else None
    if old is None and number != "0":
        raise Http404("There is no such version.")
    try:
        written = services.write_text(
            of, lang, old.text if old else "", by=request.user.get_username(),
            seen_version=services.newest_version(of, lang), restores=old.version if old else 0,
        )  # fmt: skip
    except services.TextRefused as error:
        messages.error(request, f"Version {number} may not be said any more. {error}")
    except services.TextChangedMeanwhile:
        messages.error(request, "Somebody else has written a version at this moment. Look at it, then try again.")
    else:
        _note(request, written)
        messages.success(request, f"Version {number} is said again, as version {written.version}.")
    return redirect("text", language=lang, key=of)


def _note(request: SignedInRequest, written: CustomerText) -> None:
    what = "Our text again." if not written.text else f"Written: {written.text}"
    LogEntry.objects.log_actions(request.user.pk, [written], ADDITION, what)


def _page(request: SignedInRequest, form: TextForm, key: Key, language: Language) -> HttpResponse:
    values: Any = form.data if form.is_bound else form.initial
    shown: Preview | None = None
    try:
        shown = preview(request.user, key, language, str(values.get("text", "")), refund=str(values.get("refund", "")))
    except NoSuchRefund:
        if form.is_bound:
            form.add_error("refund", "There is no such refund, or you may not see it.")
        shown = preview(request.user, key, language, str(values.get("text", "")))
    history = CustomerText.objects.filter(key=key, language=language)[:_NEWEST_VERSIONS]
    context = {
        "key": key, "language": language, "languages": list(Language), "form": form, "preview": shown,
        "ours": DEFAULTS[language][key], "history": list(history), "version": history[0].version if history else 0,
        "placeholders": [(f"{{{name}}}", MENTIONS[name], name in key.required) for name in sorted(key.placeholders)],
    }  # fmt: skip
    return render(request, "texts/text.html", context, status=400 if form.errors else 200)


def _key(key: str) -> Key:
    if key not in {each.value for each in Key}:
        raise Http404("There is no such text.")
    return Key(key)


def _language(language: str) -> Language:
    if language not in {each.value for each in Language}:
        raise Http404("There is no such language.")
    return Language(language)
