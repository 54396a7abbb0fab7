"""Looks up the installed packages, Python and npm, in the databases of known vulnerabilities. Called by `make audit`.

It needs the network: PyPI's advisories by pip-audit, npm's by `npm audit`. What could not be looked up is reported as
that, since both programs may answer "none found" for packages that they found no data of. Exit code 0: all were looked
up, and none has a known vulnerability; 1: one has; 2: some could not be looked up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
OURS = {"imgcls-lab"}  # not on PyPI


class Audit(NamedTuple):
    """looked_up: packages that there is data of; missing: those that there is none of; found: a sentence each."""

    looked_up: int
    missing: list[str]
    found: list[str]


def python_audit(report: Mapping[str, Any] | None) -> Audit:
    """What pip-audit's JSON says; None: it gave none."""
    if report is None:
        return Audit(0, ["all Python packages"], [])
    packages = [item for item in report.get("dependencies", []) if item["name"] not in OURS]
    missing = [item["name"] for item in packages if "skip_reason" in item]
    found = [
        f"{item['name']} {item['version']}: {vulnerability['id']}, mended in "
        f"{', '.join(vulnerability.get('fix_versions') or ['no version yet'])}"
        for item in packages
        for vulnerability in item.get("vulns", [])
    ]
    return Audit(len(packages) - len(missing), missing, found)


def npm_audit(report: Mapping[str, Any] | None) -> Audit:
    """What `npm audit --json` says; None: it gave none. Without the registry's data it gives a message alone."""
    if report is None or "vulnerabilities" not in report:
        return Audit(0, ["all npm packages"], [])
    found = [
        f"{name}: {item['severity']}, versions {item['range']}" for name, item in report["vulnerabilities"].items()
    ]
    return Audit(int(report["metadata"]["dependencies"]["total"]), [], found)


def said(name: str, audit: Audit) -> list[str]:
    """The result as sentences."""
    lines = [f"{name}: {audit.looked_up} packages were looked up, {len(audit.found)} known vulnerabilities."]
    lines += [f"  {sentence}" for sentence in audit.found]
    if audit.missing:
        some = ", ".join(audit.missing[:5]) + (" ..." if len(audit.missing) > 5 else "")
        count = len(audit.missing)
        lines.append(f"  The vulnerability data of {count} could not be reached ({some}): nothing is known of them.")
        lines.append("  Run it again where the network reaches PyPI and the npm registry.")
    return lines


def exit_code(*audits: Audit) -> int:
    if any(audit.found for audit in audits):
        return 1
    return 2 if any(audit.missing for audit in audits) else 0


def _json_of(command: list[str], folder: Path) -> Mapping[str, Any] | None:
    """What a program prints as JSON; both end with 1 where they find something."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=900)
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return found if isinstance(found, dict) else None


def main(pip_audit: str, packages: str) -> int:
    """pip_audit: its program; packages: the folder that they are installed in."""
    options = ["--path", packages, "--format=json", "--progress-spinner=off"]
    python = python_audit(_json_of([pip_audit, *options], ROOT))
    npm = npm_audit(_json_of(["npm", "audit", "--json"], ROOT / "labextension"))
    print(*said("Python", python), *said("npm", npm), sep="\n")
    return exit_code(python, npm)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
