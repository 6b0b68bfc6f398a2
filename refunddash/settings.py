"""Settings: one file, read from the environment (or `.env`), validated at start.

Safe by default: outside DEBUG a missing secret stops the start; in DEBUG it is generated once and kept in var/.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from refunddash import logs

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"

env = environ.Env()
env.prefix = "REFUNDDASH_"
if (BASE_DIR / ".env").exists():
    env.read_env(BASE_DIR / ".env")

DEBUG: bool = env.bool("DEBUG", default=False)


def _development_secrets() -> dict[str, str]:
    path = VAR_DIR / "development-secrets.json"
    if not path.exists():
        VAR_DIR.mkdir(exist_ok=True)
        made = {
            "secret_key": secrets.token_urlsafe(48),
            "field_key": f"dev:{secrets.token_hex(32)}",
            "lookup_key": secrets.token_hex(32),
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(made, indent=1))
    return dict(json.loads(path.read_text()))


def _secret(name: str, development_name: str) -> str:
    value = env.str(name, default="")
    if not value and DEBUG:
        return _development_secrets()[development_name]
    if not value:
        raise ImproperlyConfigured(f"Set REFUNDDASH_{name} (see .env.example); outside DEBUG nothing is generated.")
    return str(value)


SECRET_KEY = _secret("SECRET_KEY", "secret_key")
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", default=[])
"""Earlier ones that still open what they signed, so that nobody is signed out by a rotation."""
FIELD_KEYS: list[str] = [part.strip() for part in _secret("FIELD_KEYS", "field_key").split(",") if part.strip()]
"""Keys that encrypt credentials and personal data, as `name:64 hex digits`, newest first (connectors.keyring)."""
LOOKUP_KEY: str = _secret("LOOKUP_KEY", "lookup_key")
"""The key under which e-mail addresses are hashed, so that they are found without being readable."""

ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"] if DEBUG else [])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
if not DEBUG and not ALLOWED_HOSTS:
    raise ImproperlyConfigured("Set REFUNDDASH_ALLOWED_HOSTS to the host names this site answers to.")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
    "django_htmx",
    "django_q",
    "django_structlog",
    "connectors",
    "refunds",
    "refunds.reconciliation",
    "refunds.exports",
    "refunds.cases",
]

MIDDLEWARE = [
    "refunddash.middleware.RequestLog",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "refunddash.urls"
WSGI_APPLICATION = "refunddash.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


def _database() -> dict[str, Any]:
    settings: dict[str, Any] = env.db("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'refunddash.sqlite3'}")
    settings["CONN_MAX_AGE"] = 60
    settings["ATOMIC_REQUESTS"] = False
    if settings["ENGINE"].endswith("sqlite3"):
        VAR_DIR.mkdir(exist_ok=True)
        # FULL, because NORMAL may lose the last commits when the power fails, and an acknowledgement is a promise.
        settings["OPTIONS"] = {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-65536; "
            "PRAGMA recursive_triggers=ON;",
        }
        # A file, not shared memory: that one locks differently from what runs in production.
        settings["TEST"] = {"NAME": f"{settings['NAME']}.test"}
    else:
        settings["CONN_HEALTH_CHECKS"] = True
    return settings


def _inbox_database(default: dict[str, Any]) -> dict[str, Any]:
    """The same database with short patience: a processor that waits for an answer is told 503 after 3 seconds."""
    settings = {**default, "OPTIONS": dict(default.get("OPTIONS", {}))}
    if settings["ENGINE"].endswith("sqlite3"):
        settings["OPTIONS"]["timeout"] = 3
    else:
        settings["OPTIONS"]["connect_timeout"] = 3
        settings["OPTIONS"]["options"] = "-c statement_timeout=3000 -c lock_timeout=3000"
        # Asking "are you alive?" before every insert would be a second round trip for each delivery.
        settings["CONN_HEALTH_CHECKS"] = False
    return settings


DATABASES = {"default": _database()}
DATABASES["inbox"] = _inbox_database(DATABASES["default"])
INBOX_DATABASE = "inbox"
"""The alias the webhook receiver uses (tests, which live in one transaction, use the default one)."""
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
# In development the files are served from where they lie; a deployment collects them.
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = DEBUG
if DEBUG:
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if not DEBUG:
    SECURE_SSL_REDIRECT = env.bool("SSL_REDIRECT", default=True)
    SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", default=31_536_000)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_NAME = "__Host-csrftoken"
    if env.bool("BEHIND_PROXY", default=False):
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["refunds.api.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["refunds.api.permissions.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "refunds.api.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "refunddash API",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    # Fields of one name and several lists of words: each list by a name of its own.
    "ENUM_NAME_OVERRIDES": {
        "ActEnum": "refunds.api.breaks.ACTS",
        "BreakStateEnum": "refunds.reconciliation.models.BreakState.values",
        "DecisionStateEnum": "refunds.reconciliation.models.GroupState.values",
        "GroupActEnum": "refunds.api.breaks.ACTS_OF_A_GROUP",
        "PeriodState": ["open", "closed", "locked"],
        "RunStateEnum": "refunds.reconciliation.models.RunState.values",
    },
}

# The queue is a doorbell and one ticker; what there is to do stands in our own tables. A task that fails is not
# tried again by the queue (attempts are counted in our rows). Its schedules are off: refunds.ticker keeps the time.
Q_CLUSTER: dict[str, Any] = {
    "name": "refunddash",
    "workers": env.int("WORKERS", default=2),
    "queue_limit": 2,
    "bulk": 1,
    "poll": 0.2,
    "timeout": 60,
    "retry": 300,
    "max_attempts": 1,
    "ack_failures": True,
    "scheduler": False,
    "save_limit": -1,
    "recycle": 500,
    "label": "Queue",
    "guard_cycle": 1,
}
if env.str("REDIS_URL", default=""):
    Q_CLUSTER["redis"] = env.str("REDIS_URL")
else:
    Q_CLUSTER["orm"] = "default"


KEEP_DELIVERIES_DAYS: int = env.int("KEEP_DELIVERIES_DAYS", default=90)
"""How long applied deliveries stay in the inbox; 0 keeps them for ever."""

KEEP_NOTES_DAYS: int = env.int("KEEP_NOTES_DAYS", default=730)
"""How long after it was last edited a note's text is kept; 0 keeps it for ever."""


def _standstill_seconds() -> float:
    seconds = float(env.float("STANDSTILL_SECONDS", default=300))
    if seconds < 90:
        raise ImproperlyConfigured(
            "REFUNDDASH_STANDSTILL_SECONDS must be 90 or more: the ticker ticks once a minute, and would be said "
            "to stand still between two ticks."
        )
    return seconds


STANDSTILL_SECONDS = _standstill_seconds()
"""How long neither the ticker nor any worker may have done anything before every page and /readyz say so."""

METRICS_TOKEN: str = env.str("METRICS_TOKEN", default="")
"""What Prometheus must send as `Authorization: Bearer ...` to read /metrics; without it there is no such page."""
DRAIN_FILE: str = env.str("DRAIN_FILE", default="")
"""While a file of this name is there, /healthz answers 503."""
RUNBOOK_URL: str = env.str("RUNBOOK_URL", default="")
"""Where docs/operations.md can be read in a browser; its sections are linked from what is wrong."""

WATCHDOG_SECONDS: float = env.float("WATCHDOG_SECONDS", default=150)
"""How long a worker may do nothing at all before its supervisor starts it anew. A task takes at most 60 s."""


def _sandbox_url() -> str:
    url = str(env.str("SANDBOX_URL", default="")).rstrip("/")
    host = urlsplit(url).hostname or ""
    if url and not (host == "localhost" or (host and _is_loopback(host))):
        raise ImproperlyConfigured("REFUNDDASH_SANDBOX_URL must be a loopback address: credentials are sent to it.")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


SANDBOX_URL = _sandbox_url()
"""Base URL of the practice processors; only set where one runs on this machine."""

WEBHOOK_GROUP_COMMIT: bool = env.bool("WEBHOOK_GROUP_COMMIT", default=True)
"""Commit several waiting deliveries' rows together (each is answered only after its commit)."""

LOGGING = logs.configure(level=env.str("LOG_LEVEL", default="INFO"), readable=DEBUG)
# The lines that django-structlog writes about requests; see refunddash.middleware.
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = logging.DEBUG
DJANGO_STRUCTLOG_STATUS_4XX_LOG_LEVEL = logging.INFO
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True
