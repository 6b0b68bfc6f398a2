"""Adyen's read side: report files, and nothing else. There is no call that retrieves a refund."""

from __future__ import annotations

import re

from connectors.sandbox.config import ADYEN, AdyenAccount
from connectors.sandbox.exchange import Request, Response, json_response
from connectors.sandbox.world import World

_DOWNLOAD = re.compile(r"/reports/download/(MerchantAccount|Company)/([^/]+)/([^/]+)")


class AdyenApi:
    """Answers for one merchant account. Never changes the world."""

    def __init__(self, world: World, account: AdyenAccount) -> None:
        self._world = world
        self._account = account

    def handle(self, request: Request) -> Response:
        match = _DOWNLOAD.fullmatch(request.path)
        if match is None:
            return _error(404, "Not Found")
        refused = self._refuse(request)
        if refused is not None:
            return refused
        return self._download(*match.groups())

    def _refuse(self, request: Request) -> Response | None:
        key = request.headers.get("x-api-key")
        user = request.basic_credentials()
        if key is None and user is None:
            return _error(401, "HTTP Status Response - Unauthorized")
        if key is not None and key == self._account.report_api_key:
            return None
        if user == (self._account.report_user, self._account.report_password):
            return None
        return _error(401, "HTTP Status Response - Unauthorized")

    def _download(self, kind: str, owner: str, name: str) -> Response:
        mine = {"MerchantAccount": self._account.merchant_account, "Company": self._account.company_account}
        if mine[kind] != owner:
            return _error(403, "Not allowed to access this report")
        report = self._world.reports.get(name)
        if report is None or report.processor != ADYEN:
            return _error(404, "Report not found")
        headers = {"Content-Type": "text/csv; charset=utf-8", "Content-Disposition": f'attachment; filename="{name}"'}
        return Response(200, headers, report.content.encode())


def _error(status: int, message: str) -> Response:
    code = {401: "000", 403: "901"}.get(status, "702")
    kind = "security" if status in (401, 403) else "validation"
    return json_response(status, {"status": status, "errorCode": code, "message": message, "errorType": kind})
