"""Finds secrets, which a notebook must not hold: by their name, by their shape, and by the environment.

Called when a notebook is queued and executed. Parameters are written into the executed notebook, which people share; a
secret belongs into the environment.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from urllib.parse import unquote

from imgcls_lab.child_environment import is_secret
from imgcls_lab.errors import InputError
from imgcls_lab.settings import Settings

HIDDEN = "•••"
SHORTEST_SECRET = 8  # characters: a shorter value would match ordinary words
_NAME = re.compile(
    r"(^|_)(password|passwd|passphrase|secret|credentials?|api_?key|access_?key|private_?key|[a-z]*token)(_|$)", re.I
)
_SHAPES = {
    "a token of the Hugging Face hub": r"hf_[A-Za-z0-9]{16,}",
    "a token of GitHub": r"gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}",
    "a token of GitLab": r"glpat-[\w-]{16,}",
    "an API key": r"sk-(?:proj|ant|svcacct|admin|or)-[\w-]{12,}|sk-[A-Za-z0-9]{16,}|[sr]k_(?:live|test)_\w{12,}",
    "a key of AWS": r"(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z0-9]{16}",
    "a key of Google": r"AIza[\w-]{30,}|ya29\.[\w-]{16,}",
    "a token of Slack": r"xox[a-z]-[\w-]{10,}",
    "a token of a package index": r"npm_[A-Za-z0-9]{30,}|pypi-[\w-]{30,}",
    "a JSON web token": r"eyJ[\w-]{6,}\.[\w-]{6,}\.[\w-]*",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
}
_TOKENS = {what: re.compile(rf"(?<![A-Za-z0-9])(?:{shape})") for what, shape in _SHAPES.items()}


def is_secret_name(name: str) -> bool:
    return _NAME.search(name) is not None


def refuse_secret(text: str) -> None:
    """Raises InputError for a text that is, or holds, a secret. No message repeats it."""
    for what, shape in _TOKENS.items():
        if shape.search(text):
            raise InputError(f"It looks like {what}. {REMEDY}")
    if _passwords(text):
        raise InputError(f"It is an address with a password in it. {REMEDY}")
    for name, secret in known_secrets():
        if secret in text:
            raise InputError(
                f"It holds the value of the environment variable {name}, and parameters are written into the notebook. "
                "Read os.environ there instead."
            )


REMEDY = (
    "Parameters are written into the notebook, so a secret is none of them. Set an environment variable before the "
    "executor starts, and read os.environ in the notebook."
)


def known_secrets() -> list[tuple[str, str]]:
    """Secrets that this process knows, longest first, each with the environment variable of its name.

    These are variables that are secrets by their name, passwords in addresses, and the secret settings, wherever they
    come from. Only those that are long enough to be told from ordinary words.
    """
    of_settings = {Settings.table()[name].variable: value for name, value in Settings().secrets().items()}
    plain = {item.variable for item in Settings.table().values() if item.secret}
    found: set[tuple[str, str]] = set()
    for name, value in {**{k: v for k, v in os.environ.items() if k not in plain}, **of_settings}.items():
        whole = [value] if name in of_settings or is_secret_name(name) or is_secret(name) else []
        found |= {(name, secret) for secret in (*whole, *_passwords(value)) if len(secret) >= SHORTEST_SECRET}
    return sorted(found, key=lambda known: (-len(known[1]), known))


def hidden(text: str, secrets: Iterable[str]) -> str:
    """A text, or a JSON text, without these secrets."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN).replace(json.dumps(secret)[1:-1], HIDDEN)
    return text


def _passwords(address: str) -> list[str]:
    """The password in an address such as postgresql://user:password@host/name, as it stands there and decoded."""
    match = re.search(r"://[^/@:\s]*:([^/@\s]+)@", address) or re.search(r"://\S*[?&]password=([^&\s]+)", address)
    return [match[1], unquote(match[1])] if match else []
