"""The project's production settings as the house's processes run them; the environment comes from tests.house.House."""

import os

from refunddash.settings import *  # noqa: F403

# Shorter than anybody may set it, for who waits for the band.
STANDSTILL_SECONDS = float(os.environ.get("HOUSE_STANDSTILL_SECONDS", STANDSTILL_SECONDS))  # noqa: F405
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Pages are read here, not looked at: nobody has collected their styles.
STORAGES = {**STORAGES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}  # noqa: F405
