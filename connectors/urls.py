"""The receiver's address."""

from django.contrib.auth.decorators import login_not_required
from django.urls import path

from connectors import webhooks

urlpatterns = [
    path("<slug:connector>/<str:token>", login_not_required(webhooks.receive), name="webhook"),
]
