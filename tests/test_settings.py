"""Settings: from the environment, to a child, and the fence around paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgcls_lab.errors import ForbiddenPathError, InputError
from imgcls_lab.identity import host_name
from imgcls_lab.settings import Settings


def test_the_environment_gives_the_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMGCLS_HOME", str(tmp_path))
    monkeypatch.setenv("IMGCLS_CPU_SLOTS", "3")
    settings = Settings()
    assert settings.runs_dir == tmp_path / "runs"
    assert settings.db_url == f"sqlite:///{tmp_path / 'imgcls.db'}"
    assert settings.cpu_slots == 3


def test_a_child_process_gets_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings(home=str(tmp_path), cpu_slots=2, autostart=False, allowed_roots=["/a", "/b"], lease=7.5)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    child = Settings()
    for trait in Settings.table():
        assert getattr(child, trait) == getattr(settings, trait), trait


def test_a_setting_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGCLS_LEASE", "soon")
    with pytest.raises(InputError, match="IMGCLS_LEASE"):
        _ = Settings().lease


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for item in Settings.table().values():
        monkeypatch.setenv(item.variable, " ")
    settings = Settings()
    assert {item.source for item in settings.listed()} == {"default"}
    assert (settings.autostart, settings.lease, settings.allowed_roots) == (True, 30.0, [])


def test_the_daemons_files_lie_in_the_home_and_name_the_host(home: Path) -> None:
    settings = Settings()
    assert (settings.executor_lock.parent, settings.executor_info.parent) == (home / "executor", home / "executor")
    assert {settings.executor_lock.stem, settings.executor_info.stem} == {f"daemon-{host_name()}"}


def test_home_is_for_its_owner_alone(home: Path) -> None:
    Settings().make_home()
    assert {p.stat().st_mode & 0o777 for p in (home, *home.iterdir())} == {0o700}


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "{data}/../../etc", "{data}/link", "/", "~root", "a\0b", "/proc/self/root/etc"]
)
def test_a_path_outside_the_roots_is_refused(home: Path, path: str) -> None:
    settings = Settings()
    settings.make_home()
    data = Path(settings.datasets_dir)
    (data / "link").symlink_to("/etc")
    with pytest.raises(ForbiddenPathError):
        settings.allowed(path.format(data=data))


def test_a_path_under_a_root_is_given_back_without_links(home: Path, tmp_path: Path) -> None:
    extra = tmp_path / "extra"
    (extra / "set").mkdir(parents=True)
    settings = Settings(allowed_roots=[str(extra)])
    settings.make_home()
    link = Path(settings.datasets_dir) / "mine"
    link.symlink_to(extra / "set")
    assert settings.allowed(link) == extra / "set"


def test_the_documented_table_is_that_of_the_code() -> None:
    text = (Path(__file__).parents[1] / "docs" / "settings.md").read_text()
    written = [line for line in text.splitlines() if line.startswith("| `")]
    defaults = {name: item.to_text(item.fallback) for name, item in Settings.table().items()}
    assert written == [
        f"| `{name}` | `{item.variable}` | {f'`{defaults[name]}`' if defaults[name] else '–'} | {item.unit or '–'} | "
        f"{item.meaning} |"
        for name, item in Settings.table().items()
    ]
