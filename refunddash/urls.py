"""Addresses of both apps."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("webhooks/", include("connectors.urls")),
    path("", include("refunds.urls")),
]
