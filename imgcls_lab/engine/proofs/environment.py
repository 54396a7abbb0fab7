"""What of a manifest a new environment is made of: checked, since a run's folder can come from anybody.

Versions and names are of the packaging standard's form, so that a line of them gives pip no option. Packages beside
those that this project needs are installed for plugins of a run that this home wrote, and for no other's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion, Version

from imgcls_lab.engine.proofs.requirements import INSTALLER, OWN, needed
from imgcls_lab.engine.training import plugins
from imgcls_lab.errors import ModelError


class Environment(NamedTuple):
    """python: its version; version: of this project; packages: name -> version."""

    python: str
    version: str
    packages: dict[str, str]

    @classmethod
    def of(cls, folder: Path, manifest: Mapping[str, Any], *, own: bool) -> Environment:
        """own: whether this home wrote the folder.

        Raises ConfigError for plugins that this home's user has not named, ModelError for a damaged manifest.
        """
        record = manifest.get("plugins") or []
        plugins.check(folder, record)
        try:
            recorded = {str(name): _version(version) for name, version in manifest["packages"].items()}
            packages = wanted(recorded, everything=bool(record) and own)
            return cls(_version(manifest["python"]["version"]), _version(manifest["version"]), packages)
        except (KeyError, TypeError, AttributeError, InvalidName, InvalidVersion) as error:
            raise ModelError(
                f"The manifest of “{folder.name}” does not say of what its environment was made ({error!r}), so it "
                "cannot be made anew.",
                reason="damaged",
            ) from error


def wanted(recorded: Mapping[str, str], *, everything: bool) -> dict[str, str]:
    """The packages to install: what this project needs, of the versions that were recorded; else all that there were.

    everything: a run with plugins may have used any of them. Raises InvalidName.
    """
    by_name: dict[str, str] = {canonicalize_name(name, validate=everything): name for name in recorded}
    names = set(by_name) if everything else needed() & set(by_name)
    kept = sorted(by_name[name] for name in names - {canonicalize_name(OWN), INSTALLER})
    return {name: recorded[name] for name in kept}


def _version(text: object) -> str:
    Version(str(text))  # also allows white space around it
    return str(text).strip()
