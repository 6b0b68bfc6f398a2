"""`python -m tests.benchmarks [--size smoke|full] [NAME ...]`; without names, all of them.

Runs on the server of REFUNDDASH_DATABASE_URL, in a database of its own there (refunddash_bench); the one of an
earlier run is dropped.
"""

from __future__ import annotations

import argparse
import os
import sys
from urllib.parse import urlsplit, urlunsplit

DATABASE = "refunddash_bench"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--size", choices=["smoke", "full"], default="full")
    parser.add_argument(
        "names",
        nargs="*",
        help="acknowledge, apply, close, export, gets, match, search, settlement, year; without any, all",
    )
    options = parser.parse_args()
    prepare_database()
    from tests.benchmarks import acknowledge, apply, close, export, gets, match, search, settlement, year

    known = {
        "acknowledge": acknowledge.run,
        "apply": apply.run,
        "close": close.run,
        "export": export.run,
        "gets": gets.run,
        "match": match.run,
        "search": search.run,
        "settlement": settlement.run,
        "year": year.run,
    }
    unknown = set(options.names) - set(known)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    for name in options.names or known:
        known[name](options.size)


def prepare_database() -> None:
    """A fresh database, migrated; the settings of this process and its children point at it."""
    import psycopg

    url = urlsplit(os.environ.get("REFUNDDASH_DATABASE_URL", ""))
    if not url.scheme.startswith("postgres"):
        sys.exit("The benchmarks need PostgreSQL: `make bench` starts one, or set REFUNDDASH_DATABASE_URL.")
    with psycopg.connect(urlunsplit(url), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {DATABASE}")
        fsync = connection.execute("SHOW fsync").fetchone()
    os.environ["REFUNDDASH_DATABASE_URL"] = urlunsplit(url._replace(path=f"/{DATABASE}"))
    os.environ["REFUNDDASH_DEBUG"] = "1"
    os.environ["REFUNDDASH_SANDBOX_URL"] = "http://127.0.0.1:9"
    os.environ.setdefault("REFUNDDASH_LOG_LEVEL", "WARNING")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "refunddash.settings")
    import django
    from django.conf import settings
    from django.core.management import call_command

    django.setup()
    # Statements would be remembered in DEBUG, which is no part of what is measured.
    settings.DEBUG = False
    call_command("migrate", verbosity=0)
    print(f"PostgreSQL at {url.hostname}:{url.port}, fsync {fsync[0] if fsync else '?'}")


if __name__ == "__main__":
    main()
