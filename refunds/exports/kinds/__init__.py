"""The kinds of export there are. A new one is a class in a module here and a line below."""

from __future__ import annotations

from collections.abc import Mapping

from refunds.exports.kinds.base import BadFilter, ExportKind
from refunds.exports.kinds.chosen_refunds import ChosenRefunds
from refunds.exports.kinds.of_period import OpenItems, RollForward
from refunds.exports.kinds.refund_report import RefundReport
from refunds.exports.kinds.run_breaks import RunBreaks

KINDS: Mapping[str, ExportKind] = {
    kind.name: kind for kind in (RefundReport(), ChosenRefunds(), RunBreaks(), RollForward(), OpenItems())
}

__all__ = ["KINDS", "BadFilter", "ExportKind"]
