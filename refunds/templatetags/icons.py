"""`{% icon "check" %}`: small line icons, drawn here, inlined so that they print and take the text's colour."""

from __future__ import annotations

from collections.abc import Mapping

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

_RING = '<circle cx="8" cy="8" r="6.25"/>'

# Each on a grid of 16, lines only. Statuses differ by shape and not by colour alone.
ICONS: Mapping[str, str] = {
    "alert": '<path d="M8 2 14.5 13.5h-13z"/><path d="M8 6.5v3M8 11.6v.1"/>',
    "arrow-left": '<path d="M13 8H3M7 4 3 8l4 4"/>',
    "arrow-right": '<path d="M3 8h10M9 4l4 4-4 4"/>',
    "bolt": '<path d="M9 1.5 3.5 9H8l-1 5.5L12.5 7H8z"/>',
    "calendar": '<rect x="2" y="3" width="12" height="11" rx="2"/><path d="M2 6.5h12M5.5 1.5v3M10.5 1.5v3"/>',
    "canceled": f'{_RING}<path d="M5 8h6"/>',
    "check": '<path d="m3 8.5 3.2 3.2L13 5"/>',
    "chevron": '<path d="m4.5 6.5 3.5 3.5 3.5-3.5"/>',
    "copy": '<rect x="5.5" y="5.5" width="8" height="8.5" rx="1.5"/><path d="M10.5 3V2.5A1 1 0 0 0 9.5 1.5H3.5a1 '
    '1 0 0 0-1 1V10a1 1 0 0 0 1 1H4"/>',
    "differs": '<path d="M2.5 6h11M2.5 10h11M11 2.5l-6 11"/>',
    "download": '<path d="M8 2v8M4.5 7 8 10.5 11.5 7M2.5 13.5h11"/>',
    "external": '<path d="M9.5 2.5h4v4M13.5 2.5l-6 6M11.5 9.5v3a1 1 0 0 1-1 1h-7a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1h3"/>',
    "failed": '<path d="M5.4 1.75h5.2l3.65 3.65v5.2l-3.65 3.65H5.4L1.75 10.6V5.4z"/><path d="m6 6 4 4M10 6l-4 4"/>',
    "file": '<path d="M9.5 1.5h-5a1 1 0 0 0-1 1v11a1 1 0 0 0 1 1h7a1 1 0 0 0 1-1v-9zM9.5 1.5v3h3M6 8.5h4M6 11h4"/>',
    "filter": '<path d="M2 4h12M4.5 8h7M6.5 12h3"/>',
    "flag": '<path d="M3.5 14.5v-12M3.5 3c3-1.5 6 1.5 9 0v6c-3 1.5-6-1.5-9 0"/>',
    "info": f'{_RING}<path d="M8 7.5v3.5M8 5.1v.1"/>',
    "inbox": '<path d="M1.5 9.5 3.5 3h9l2 6.5v3a1 1 0 0 1-1 1h-11a1 1 0 0 1-1-1zM1.5 9.5h4l1 2h3l1-2h4"/>',
    "keyboard": '<rect x="1.5" y="3.5" width="13" height="9" rx="1.5"/><path d="M4.5 6.5h.1M8 6.5h.1M11.5 6.5h.1M5 '
    '9.5h6"/>',
    "list": '<path d="M5.5 4h8M5.5 8h8M5.5 12h8M2.5 4h.1M2.5 8h.1M2.5 12h.1"/>',
    "lock": '<rect x="3" y="7" width="10" height="7" rx="1.5"/><path d="M5.5 7V5a2.5 2.5 0 0 1 5 0v2"/>',
    "moon": '<path d="M13.5 9.5A5.75 5.75 0 0 1 6.5 2.5a5.75 5.75 0 1 0 7 7z"/>',
    "pause": f'{_RING}<path d="M6.5 6v4M9.5 6v4"/>',
    "pending": f'{_RING}<path d="M8 4.5V8l2.4 1.6"/>',
    "person": '<circle cx="8" cy="5" r="3"/><path d="M2.5 14c.6-3 2.8-4.5 5.5-4.5s4.9 1.5 5.5 4.5"/>',
    "question": f'{_RING}<path d="M6.2 6.3A1.8 1.8 0 1 1 8.8 8c-.6.3-.8.6-.8 1.2M8 11.2v.1"/>',
    "refresh": '<path d="M13.5 8a5.5 5.5 0 1 1-1.6-3.9L13.5 5.7M13.5 2v3.7H9.8"/>',
    "returned": '<path d="M2.5 6.5h7a4 4 0 0 1 0 8H6M6 3 2.5 6.5 6 10"/>',
    "search": '<circle cx="7" cy="7" r="4.75"/><path d="m10.5 10.5 3.5 3.5"/>',
    "sent": '<path d="M14 2 7 9M14 2l-4.5 12L7 9 2 6.5z"/>',
    "sun": '<circle cx="8" cy="8" r="3"/><path d="M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1.1 1.1M11.9 11.9 13 '
    '13M13 3l-1.1 1.1M4.1 11.9 3 13"/>',
    "succeeded": f'{_RING}<path d="m5.2 8.2 2 2 3.6-4"/>',
    "system": '<rect x="1.5" y="2.5" width="13" height="9" rx="1.5"/><path d="M5.5 14h5"/>',
    "voided": f'{_RING}<path d="M3.8 12.2 12.2 3.8"/>',
    "x": '<path d="m4 4 8 8M12 4l-8 8"/>',
}


@register.simple_tag
def icon(name: str) -> SafeString:
    """The icon as inline SVG, hidden from screen readers: the words beside it say the same."""
    drawing = mark_safe(ICONS[name])  # noqa: S308  (a constant of this file)
    return format_html('<svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">{}</svg>', drawing)
