"""A training notes the commit and the changes of the repository around it, and runs no program that it names."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from imgcls_lab.repository import between, state_of

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is missing")


def git(folder: Path, *arguments: str) -> str:
    named = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", "-C", folder, *named, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one changed file."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a.txt").write_text("first\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    (folder / "a.txt").write_text("second\n")
    return folder


def plant(folder: Path, how: str, canary: Path) -> None:
    """Have the repository name a program that writes a canary."""
    program = f"sh -c 'echo executed >> {canary}; cat'"
    match how:
        case "clean" | "process":
            git(folder, "config", f"filter.x.{how}", program)
            (folder / ".git/info/attributes").write_text("* filter=x\n")
        case "textconv" | "command":
            git(folder, "config", f"diff.x.{how}", program)
            (folder / ".gitattributes").write_text("* diff=x\n")
        case "missing object":
            blob = git(folder, "rev-parse", "HEAD:a.txt")
            (folder / ".git/objects" / blob[:2] / blob[2:]).unlink()
            for name, value in (
                ("core.repositoryFormatVersion", "1"), ("extensions.partialClone", "o"), ("remote.o.promisor", "true"),
                ("remote.o.url", str(folder)), ("remote.o.uploadpack", program),
            ):  # fmt: skip
                git(folder, "config", name, value)
        case "submodule":
            inner = folder / "inner"
            inner.mkdir()
            git(inner, "init", "-q")
            (inner / "b.txt").write_text("first\n")
            git(inner, "add", ".")
            git(inner, "commit", "-qm", "inner")
            git(folder, "add", "inner")
            (inner / "b.txt").write_text("other\n")
            plant(inner, "clean", canary)
        case _:
            git(folder, "config", how, program)


@pytest.mark.parametrize(
    "how",
    ["clean", "process", "textconv", "command", "missing object", "submodule", "core.fsmonitor", "diff.external"],
)
def test_no_program_of_a_repository_is_run(repository: Path, tmp_path: Path, how: str) -> None:
    plant(repository, how, tmp_path / "canary")
    found = state_of(repository)
    assert not (tmp_path / "canary").exists()
    if how != "missing object":
        assert found is not None
        assert "-first\n+second\n" in found.diff


def test_the_changes_are_those_of_the_whole_repository(repository: Path, tmp_path: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    index = (repository / ".git/index").read_bytes()
    inside = repository / "deeper"
    inside.mkdir()
    for folder in (repository, inside):
        found = state_of(folder)
        assert found is not None
        assert (found.commit, found.diff) == (commit, git(repository, "diff", "HEAD") + "\n")
    assert (repository / ".git/index").read_bytes() == index
    git(repository, "worktree", "add", "-q", str(tmp_path / "linked"), "HEAD")
    linked = state_of(tmp_path / "linked")
    assert linked is not None
    assert (linked.commit, linked.diff, linked.diff_cut) == (commit, "", False)
    assert state_of(tmp_path) is None


def test_files_are_compared_as_the_repository_says(repository: Path) -> None:
    (repository / "a.txt").write_bytes(b"first\r\n")
    git(repository, "config", "core.autocrlf", "true")
    (repository / "a.txt").chmod(0o755)
    git(repository, "config", "core.fileMode", "false")
    found = state_of(repository)
    assert found is not None
    assert found.diff == ""


def test_two_commits_are_compared_and_no_program_of_their_repository_is_run(repository: Path, tmp_path: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "commit", "-qam", "second")
    second = git(repository, "rev-parse", "HEAD")
    for how in ("textconv", "command", "core.fsmonitor", "diff.external", "clean"):
        plant(repository, how, tmp_path / "canary")
    (repository / ".gitattributes").write_text("* diff=x filter=x\n")
    found = between(repository, first, second)
    assert found is not None
    assert ("-first\n+second\n" in found.text, found.cut) == (True, False)
    (repository / "deeper").mkdir()
    back = between(repository / "deeper", second, first)
    assert back is not None
    assert "-second\n+first\n" in back.text
    assert not (tmp_path / "canary").exists()
    for before, after in ((first, "0" * 40), (first, "HEAD"), ("--output=x", second), (first[:7], second)):
        assert between(repository, before, after) is None
    assert between(tmp_path, first, second) is None
    state = state_of(repository)
    assert state is not None
    assert state.folder == str(repository.resolve())


def test_a_long_difference_is_cut_and_not_kept_whole(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgcls_lab.repository.LARGEST_DIFF", 1000)
    monkeypatch.setattr("imgcls_lab.repository._LARGEST_ANSWER", 4000)
    first = git(repository, "rev-parse", "HEAD")
    (repository / "a.txt").write_text("\n".join(f"line {number} of a long file" for number in range(200_000)))
    git(repository, "commit", "-qam", "second")
    found = between(repository, first, git(repository, "rev-parse", "HEAD"))
    assert found is not None
    assert (len(found.text), found.cut) == (1000, True)
