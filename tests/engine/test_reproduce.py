"""The code and the versions of a run, as `reproduce` restores them; and what it refuses."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imgcls_lab import signing
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.proofs import source_code
from imgcls_lab.engine.proofs.environment import Environment, wanted
from imgcls_lab.engine.proofs.reproduce import reproduce
from imgcls_lab.errors import ConfigError, ConflictError, InputError, ModelError
from imgcls_lab.schemas import VerifyRequest
from imgcls_lab.settings import Settings

Make = Callable[..., TrainConfig]
FILE = "imgcls_lab/engine/optim/losses.py"


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def test_the_code_that_is_here_is_taken_if_it_is_the_run_s(make_config: Make, tmp_path: Path) -> None:
    train(make_config(epochs=1), tmp_path / "run")
    content = json.loads((tmp_path / "run/manifest.json").read_text())
    assert len(content["code"]) > 50
    files = source_code.restored(content, own=False)
    assert {*content["code"]} <= {*files}
    source_code.install(files, tmp_path / "site", "9.9")
    assert sha((tmp_path / "site" / FILE).read_bytes()) == content["code"][FILE]
    assert "Version: 9.9" in (tmp_path / "site/imgcls_lab-9.9.dist-info/METADATA").read_text()


def test_else_that_of_the_commit_with_its_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "imgcls_lab"
    package.mkdir()
    (package / "loop.py").write_text("rate = 1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    (package / "loop.py").write_text("rate = 2\n")
    commit, diff = git(tmp_path, "rev-parse", "HEAD").strip(), git(tmp_path, "diff")
    trained: dict[str, Any] = {
        "code": {"imgcls_lab/loop.py": sha(b"rate = 2\n")},
        "git": {"commit": commit, "diff": diff, "diff_cut": False},
    }
    (package / "loop.py").write_text("rate = 3\n")
    monkeypatch.setattr(source_code, "PACKAGE", package)
    assert source_code.restored(trained, own=True) == {"imgcls_lab/loop.py": b"rate = 2\n"}
    unknown = {**trained["git"], "commit": "0" * 40}
    without: list[dict[str, Any]] = [{"git": None}, {"git": unknown}, {"code": {}}]
    for lost in without:
        with pytest.raises(ConflictError) as refused:
            source_code.restored({**trained, **lost}, own=True)
        assert refused.value.reason == "no_code"
    for foreign in (trained["git"], {**trained["git"], "diff": ""}):  # nor a commit that others have put there
        with pytest.raises(ConflictError, match="no run of this home") as refused:
            source_code.restored({**trained, "git": foreign}, own=False)
        assert refused.value.reason == "foreign_code"


def test_only_what_the_project_needs_is_installed_unless_plugins_may_need_more() -> None:
    packages = {"imgcls-lab": "0.1", "torch": "2.10.0", "Pillow": "12.1.1", "nothing-of-ours": "1.0"}
    assert wanted(packages, everything=False) == {"Pillow": "12.1.1", "torch": "2.10.0"}
    assert wanted(packages, everything=True) == {"Pillow": "12.1.1", "nothing-of-ours": "1.0", "torch": "2.10.0"}


def test_a_folder_that_is_taken_and_a_python_that_is_not_here_are_refused(make_config: Make, tmp_path: Path) -> None:
    train(make_config(epochs=1), tmp_path / "run")
    request = VerifyRequest(steps=5)
    with pytest.raises(ConflictError) as taken:
        reproduce(tmp_path / "run", tmp_path, request)
    assert taken.value.reason == "exists"
    file = tmp_path / "run/manifest.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "python": {"version": "3.0.1"}}))
    with pytest.raises(InputError, match=r"3\.0\.1"):
        reproduce(tmp_path / "run", tmp_path / "env", request)
    assert not (tmp_path / "env").exists()


def test_a_version_that_is_on_no_index_is_named_with_what_to_do(
    make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(make_config(epochs=1), tmp_path / "run")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ModelError, match=r"pip does not find \S+==\d.*conda") as missing:
        reproduce(tmp_path / "run", tmp_path / "env", VerifyRequest(steps=5))
    assert missing.value.reason == "not_on_index"


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("packages", {"torch": "2.10\n--index-url http://127.0.0.1/\nevil==1"}),
        ("packages", {"torch": "2.10 ; python_version > '3'"}),
        ("packages", {"torch": "file:///tmp/evil.whl"}),
        ("packages", ["torch"]),
        ("version", "../../../evil"),
        ("python", {"version": "../../bin/sh"}),
        ("python", {}),
    ],
)
def test_a_planted_manifest_gives_pip_no_option_and_names_no_path(part: str, value: object, tmp_path: Path) -> None:
    plain = {"packages": {"torch": "2.10.0+cpu"}, "version": "1.0.dev3", "python": {"version": "3.11.7"}, "plugins": []}
    assert Environment.of(tmp_path, plain, own=True) == ("3.11.7", "1.0.dev3", {"torch": "2.10.0+cpu"})
    with pytest.raises(ModelError, match="cannot be made anew"):
        Environment.of(tmp_path, {**plain, part: value}, own=True)


def test_packages_for_plugins_are_installed_of_this_home_s_own_runs_alone(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/01-x.py").write_text("x = 1\n")
    plugin = {"name": "01-x.py", "sha256": hashlib.sha256(b"x = 1\n").hexdigest()}
    content = {"packages": {"evil": "1.0"}, "version": "1.0", "python": {"version": "3.11.7"}, "plugins": [plugin]}
    with pytest.raises(ConfigError, match="not executed"):
        Environment.of(tmp_path, content, own=False)
    # a folder that has come back with a plugin that this home's user once named
    plugin["signature"] = signing.sign_code(Settings().home_path, plugin["sha256"])
    assert Environment.of(tmp_path, content, own=False).packages == {}
    assert Environment.of(tmp_path, content, own=True).packages == {"evil": "1.0"}
