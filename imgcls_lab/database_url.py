"""What is secret in the URL of a database, or of a web address. Asked by `settings.py`; opens no connection."""

from __future__ import annotations

import os
from urllib.parse import parse_qsl, quote, urlsplit


def holds_password(url: str) -> bool:
    """Whether a database URL holds a password, in its place or in its query. One that cannot be read counts as such."""
    if url.startswith("sqlite:"):
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.password) or any("password" in name.lower() for name, _ in parse_qsl(parts.query))
    except ValueError:
        return True


def with_password(url: str) -> str:
    """A PostgreSQL URL with the password that libpq would take from the environment."""
    password = os.environ.get("PGPASSWORD", "")
    if not password or not url.startswith("postgres") or holds_password(url):
        return url
    return f"{url}{'&' if '?' in url else '?'}password={quote(password, safe='')}"


def without_secret(url: str) -> str:
    """A URL without password and query; of a web address also without its path, which is often a token."""
    if not url or url.startswith("sqlite:"):
        return url
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "***"
    place = f"{parts.username}:***@" if parts.password else f"{parts.username}@" if parts.username else ""
    path = "/…" if parts.scheme in ("http", "https") and len(parts.path) > 1 else parts.path
    return f"{parts.scheme}://{place}{parts.hostname or ''}{port}{path}"
