"""No secret of the executor's environment is in a job of Slurm: its environment, script or options."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from imgcls_lab.executor.backends.job_scheduler import Job
from imgcls_lab.executor.backends.slurm import SlurmScheduler
from imgcls_lab.settings import Settings

SECRETS = (
    "JUPYTERHUB_API_TOKEN", "JUPYTERHUB_CRYPT_KEY", "JUPYTER_TOKEN", "JPY_API_TOKEN", "CONFIGPROXY_AUTH_TOKEN",
    "OAUTH2_CLIENT_SECRET", "PGPASSWORD", "IMGCLS_DB_URL", "IMGCLS_WEBHOOK", "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN", "RAY_AUTH_TOKEN",
)  # fmt: skip
RECORD = """#!/bin/sh
[ "$(basename "$0")" = squeue ] && exit 0
mkdir -p {out}; env >{out}/environment; printf '%s\\n' "$@" >{out}/options; cat >{out}/script; echo 1
"""


@pytest.fixture
def taken(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What sbatch gets of an executor whose environment has all of them: environment, options and script."""
    programs, out = tmp_path / "programs", tmp_path / "out"
    programs.mkdir()
    for name in ("sbatch", "squeue"):
        (programs / name).write_text(RECORD.format(out=out))
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    for name in SECRETS:
        monkeypatch.setenv(name, f"marker-{name.lower()}")
    monkeypatch.setenv("IMGCLS_DB_URL", "postgresql://lab:marker-password@127.0.0.1/lab")
    monkeypatch.setenv("SLURM_JWT", "marker-jwt")
    monkeypatch.setenv("HF_TOKEN", "kept-for-gated-models")
    settings = Settings(home=str(home), slurm_options="--comment='a; touch /tmp/never $(id) `id`'")
    job = Job("20260101-000000-abcdef-001", ("/bin/sh", "-c", 'env >>"$0"', str(out / "seen")), {"A": "it's\n$(id)"})
    SlurmScheduler(settings).submit(job)
    return {path.name: path.read_text() for path in out.iterdir()}


def test_a_job_of_slurm_gets_no_secret(taken: dict[str, str]) -> None:
    found = {name: [line for line in text.splitlines() if "marker-" in line] for name, text in taken.items()}
    assert found == {"environment": ["SLURM_JWT=marker-jwt"], "options": [], "script": []}  # sbatch itself needs that
    assert "HF_TOKEN=kept-for-gated-models" in taken["environment"]


def test_the_token_for_slurm_reaches_no_process_of_the_run(taken: dict[str, str], tmp_path: Path) -> None:
    """The script with the environment that the job inherits, as slurmd runs it."""
    folder = Settings(home=str(tmp_path / "home")).run_dir("20260101-000000-abcdef")
    script = taken["script"]
    log = next(line for line in script.splitlines() if line.startswith("exec >>")).split(">>")[1].split()[0]
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["/bin/sh"], input=script, text=True, env={**os.environ}, check=True, timeout=20)
    seen = (tmp_path / "out" / "seen").read_text()
    assert "marker-jwt" not in seen
    assert "A=it's\n$(id)" in seen  # quoted, not executed
    assert folder.name in log


def test_options_of_slurm_are_words_for_no_shell(taken: dict[str, str]) -> None:
    assert "--comment=a; touch /tmp/never $(id) `id`" in taken["options"].splitlines()
    assert "never" not in taken["script"]
