"""The packages that this project needs: those on which a result can depend, unless a run has plugins."""

from __future__ import annotations

from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OWN = "imgcls-lab"
INSTALLER = "pip"  # in every environment, and in no training


def needed() -> set[str]:
    """The packages that this project needs, with those that they need, by their canonical names."""
    found: set[tuple[str, str]] = set()  # names, each with an extra of it
    waiting = [(OWN, "")]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        try:
            required = [Requirement(line) for line in metadata.requires(name) or []]
        except metadata.PackageNotFoundError:
            continue
        for each in required:
            if each.marker is None or each.marker.evaluate({"extra": extra}):
                waiting += [(canonicalize_name(each.name), wanted) for wanted in ("", *each.extras)]
    return {name for name, _extra in found}
