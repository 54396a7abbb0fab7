"""Text without control characters, safe to print on a terminal. Called wherever a name or a path is printed.

Names of files, classes and runs may hold escape sequences, which would move the cursor, set the title or hide a line.
"""

from __future__ import annotations

import re

# C0 but tab and line feed, DEL, C1, and the marks that reverse the direction of what follows
_ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def inert(text: str) -> str:
    """The text with each control character, and each character that cannot be encoded, written out as \\x1b."""
    shown = _ACTIVE.sub(lambda match: _written(match[0]), text)
    return shown.encode("utf-8", "backslashreplace").decode("utf-8")


def shown(text: str, most: int = 500) -> str:
    """A name that another user or program chose, as part of one line: inert, and of a limited length."""
    line = inert(text[:most]).replace("\n", "\\x0a").replace("\t", "\\x09")
    return line if len(text) <= most else f"{line}…"


def _written(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
