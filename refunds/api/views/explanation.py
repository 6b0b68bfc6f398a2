"""/api/refunds/<id>/explanation/: the words for the customer, and what they mean for staff."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from refunds.api import schema
from refunds.api.inputs import StrictSerializer, read_query
from refunds.api.views.base import ApiView
from refunds.explaining import Age, Key, Language
from refunds.permissions import Action, may
from refunds.saying import Said, language_for, say

_LANGUAGES = [language.value for language in Language]


class ExplanationQuery(StrictSerializer):
    language = serializers.ChoiceField(
        _LANGUAGES, required=False, help_text="Left out: the customer's, or English where that is none of ours."
    )


class SentenceSerializer(serializers.Serializer[Any]):
    key = serializers.ChoiceField([key.value for key in Key], help_text="By which the text is edited.")
    text = serializers.CharField()


class MailSerializer(serializers.Serializer[Any]):
    subject = serializers.CharField()
    body = serializers.CharField()


class ExpectedSerializer(serializers.Serializer[Any]):
    by = serializers.DateField(allow_null=True, help_text="The day by which what comes next is usual; an estimate.")
    what = serializers.CharField(help_text="What is usual by then.")
    because = serializers.CharField(help_text="Where the estimate is from.")
    age = serializers.ChoiceField([age.value for age in Age])


class ExplanationSerializer(serializers.Serializer[Any]):
    """What to tell the customer; `meaning` and `next_steps` are in English and for staff only."""

    refund_id = serializers.IntegerField()
    language = serializers.ChoiceField(_LANGUAGES)
    text = serializers.CharField()
    sentences = SentenceSerializer(many=True)
    mail = MailSerializer()
    meaning = serializers.ListField(child=serializers.CharField())
    next_steps = serializers.ListField(child=serializers.CharField())
    expected = ExpectedSerializer(allow_null=True)


class ExplanationView(ApiView):
    actions = {"GET": (Action.READ_REFUNDS,)}

    @extend_schema(
        operation_id="explain_refund",
        summary="What to tell the customer about a refund",
        description=schema.EXPLAIN,
        parameters=[ExplanationQuery],
        responses=schema.answers(ExplanationSerializer, 400, 404),
        examples=[schema.EXPLANATION],
    )
    def get(self, request: Request, pk: int) -> Response:
        chosen = read_query(request.query_params, ExplanationQuery).get("language")
        refund = self.refund(pk)
        language = Language(chosen) if chosen else language_for(refund)
        said = say(refund, language=language, sees_settlement=may(self.token, Action.SEE_SETTLEMENT))
        return Response(explanation_as_json(refund.pk, said))


def explanation_as_json(refund_id: int, said: Said) -> dict[str, Any]:
    words, expected = said.explanation, said.expected
    by = expected.by
    return {
        "refund_id": refund_id,
        "language": words.language.value,
        "text": words.text,
        "sentences": [{"key": sentence.key.value, "text": sentence.text} for sentence in words.sentences],
        "mail": {"subject": words.subject, "body": words.mail},
        "meaning": list(words.meaning),
        "next_steps": list(words.advice),
        "expected": {
            "by": by.isoformat(), "what": expected.what, "because": expected.because, "age": expected.age.value,
        } if by else None,
    }  # fmt: skip
