"""`make audit` says of which packages nothing is known: its programs answer "none found" for those, too."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def audit() -> Any:
    spec = importlib.util.spec_from_file_location("audit", Path(__file__).parents[2] / "tools" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GOOD = {"name": "tornado", "version": "6.5.2", "vulns": []}
BAD = {"name": "pillow", "version": "9", "vulns": [{"id": "CVE-2023-4863", "fix_versions": ["10.0.1"]}]}
SKIPPED = {"name": "torch", "skip_reason": "Dependency not found on PyPI and could not be audited: torch (2.14)"}
OURS = {"name": "imgcls-lab", "skip_reason": "Dependency not found on PyPI"}
NPM = {"vulnerabilities": {}, "metadata": {"dependencies": {"total": 900}}}


def test_a_package_without_data_is_not_a_package_without_vulnerabilities(audit: Any) -> None:
    clean = audit.npm_audit(NPM)
    for packages, code in (
        ([GOOD, OURS], 0),
        ([GOOD, SKIPPED, OURS], 2),
        ([SKIPPED], 2),
        ([GOOD, BAD, SKIPPED], 1),
    ):
        assert audit.exit_code(audit.python_audit({"dependencies": packages}), clean) == code
    assert audit.exit_code(audit.python_audit(None), clean) == 2
    assert "torch" in "".join(audit.said("Python", audit.python_audit({"dependencies": [SKIPPED]})))
    assert "CVE-2023-4863" in "".join(audit.said("Python", audit.python_audit({"dependencies": [BAD]})))


def test_npm_without_its_registry_is_no_clean_result(audit: Any) -> None:
    clean = audit.python_audit({"dependencies": [GOOD]})
    refused = {"message": "405 Method Not Allowed", "statusCode": 405, "error": {"summary": ""}}
    assert [audit.exit_code(clean, audit.npm_audit(report)) for report in (NPM, refused, None)] == [0, 2, 2]
    found = {**NPM, "vulnerabilities": {"vite": {"severity": "high", "range": "<6.0.0"}}}
    assert audit.exit_code(clean, audit.npm_audit(found)) == 1


def test_make_test_asks_no_database_of_vulnerabilities() -> None:
    text = (Path(__file__).parents[2] / "Makefile").read_text()
    targets = {
        line.split(":")[0]: line for line in text.splitlines() if ":" in line and not line.startswith(("\t", "#"))
    }
    assert "audit" in targets
    assert not any("audit" in targets[name] for name in ("test", "check", "acceptance"))
