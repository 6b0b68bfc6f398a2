"""What every view of the API shares."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework.request import Request
from rest_framework.views import APIView

from connectors.models import ConnectorAccount
from refunds.api.errors import LengthRequired, Missing, error_body
from refunds.api.parsers import AlwaysJSON, StrictJSONParser
from refunds.api.permissions import Actions
from refunds.models import ApiToken, Refund
from refunds.permissions import accounts_of, refunds_of


class ApiView(APIView):
    """A view for tokens. `actions` says what each method needs; a method that is not in it does not exist."""

    actions: ClassVar[Actions] = {}
    parser_classes = [StrictJSONParser]
    content_negotiation_class = AlwaysJSON
    http_method_names = ["get", "head", "post"]

    @property
    def default_response_headers(self) -> dict[str, str]:
        return {**super().default_response_headers, "Cache-Control": "no-store"}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # Django reads no further than the declared length, so a body without one would count as empty.
        if request.headers.get("Transfer-Encoding") and not request.META.get("CONTENT_LENGTH"):
            raise LengthRequired("Send the body with its Content-Length, not chunked.")

    @property
    def token(self) -> ApiToken:
        return cast(ApiToken, cast(Any, self.request).auth)

    def refund(self, pk: int) -> Refund:
        """Missing both where there is none and where it is not for this token."""
        found = refunds_of(self.token).select_related("account").filter(pk=pk).first()
        if found is None:
            raise Missing
        return found

    def account(self, name: str) -> ConnectorAccount:
        """Missing both where there is none and where it is not for this token."""
        found = accounts_of(self.token).filter(name=name).first() if "\0" not in name else None
        if found is None:
            raise Missing
        return found


@csrf_exempt
def no_such_address(request: HttpRequest) -> JsonResponse:
    """Whatever else lies below /api/, in the shape of every other error."""
    message = "There is no such address: /api/docs/ lists them, and each ends with a slash."
    return JsonResponse({"error": error_body("not_found", message)}, status=404)
