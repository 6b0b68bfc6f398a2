"""The project's settings as tests run them: development secrets, no queue beside the test, fast password hashing."""

import os

os.environ["REFUNDDASH_DEBUG"] = "1"
os.environ["REFUNDDASH_SANDBOX_URL"] = "http://127.0.0.1:9"
# Only one thread takes part in a test's transaction; the committer has tests of its own.
os.environ["REFUNDDASH_WEBHOOK_GROUP_COMMIT"] = "0"

from refunddash.settings import *  # noqa: F403

DEBUG = False
# A test's transaction is seen by one connection only.
DATABASES = {"default": DATABASES["default"]}  # noqa: F405
INBOX_DATABASE = "default"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
