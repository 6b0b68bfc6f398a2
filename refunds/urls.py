"""The addresses of refunds: the API's, signing in and out, and the pages'."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

urlpatterns = [
    path("api/", include("refunds.api.urls")),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("", include("refunds.pages.urls")),
]
