"""A run computed again in a new virtual environment: the manifest's versions, its code, and then `verify` in there.

Called by `imgcls-lab reproduce` and `run.reproduce()`. Packages come by pip from wherever pip is set up to look.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from imgcls_lab import signing
from imgcls_lab.child_environment import child_environment
from imgcls_lab.engine.proofs import source_code
from imgcls_lab.engine.proofs.environment import Environment
from imgcls_lab.engine.proofs.verify import recorded
from imgcls_lab.entry_points import VERIFICATION
from imgcls_lab.errors import ConflictError, InputError, ModelError
from imgcls_lab.schemas import Certificate, VerifyRequest
from imgcls_lab.settings import Settings

REQUIREMENTS = "requirements.txt"
_MISSING = re.compile(r"No matching distribution found for (\S+)")
OnStage = Callable[[str], None]


def reproduce(
    folder: Path,
    place: Path,
    request: VerifyRequest,
    *,
    python: str | None = None,
    on_stage: OnStage = lambda _sentence: None,
) -> Certificate:
    """Make the environment in `place`, a new folder, and verify the run in it.

    python: an interpreter of the recorded version; by default one that is found. Raises ConflictError, InputError for
    what is not at hand; ModelError where pip or the verification fails.
    """
    content, _record = recorded(folder)
    if place.exists() and not (place.is_dir() and not any(place.iterdir())):
        raise ConflictError(f"“{place}” is not an empty folder. Name a new one for the environment.", reason="exists")
    own = signing.is_own(Settings().home_path, folder)
    environment = Environment.of(folder, content, own=own)
    interpreter = _interpreter(environment.python, python)
    files = source_code.restored(content, own=own)
    on_stage(f"making a virtual environment in {place}")
    _call([interpreter, "-m", "venv", os.fspath(place)])
    requirements = place / REQUIREMENTS
    requirements.write_text("".join(f"{name}=={version}\n" for name, version in environment.packages.items()))
    on_stage(f"installing {len(environment.packages)} packages")
    inside = os.fspath(place / "bin/python")
    _call([inside, "-m", "pip", "install", "--no-deps", "--quiet", "-r", os.fspath(requirements)], pip=True)
    source_code.install(files, _site_packages(inside), environment.version)
    on_stage("verifying")
    argv = VERIFICATION.argv(inside, os.fspath(folder), "--steps", str(request.steps), "--at", request.at)
    return Certificate.model_validate_json(_call(argv, cwd=place).stdout.splitlines()[-1])


def _interpreter(version: str, given: str | None) -> str:
    """A Python of that version. Raises InputError."""
    minor = ".".join(version.split(".")[:2])
    candidates = [given] if given else [sys.executable, shutil.which(f"python{minor}"), shutil.which("python3")]
    for path in filter(None, candidates):
        try:
            found = _call([path, "-c", "import platform; print(platform.python_version())"]).stdout.strip()
        except (OSError, ModelError):
            continue
        if found == version:
            return path
    raise InputError(
        f"The run was trained with Python {version}, which is not found here. Install it, and name it with --python."
    )


def _site_packages(python: str) -> Path:
    return Path(_call([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).stdout.strip())


def _call(argv: list[str], *, cwd: Path | None = None, pip: bool = False) -> subprocess.CompletedProcess[str]:
    """Raises ModelError where the program fails; of pip with what it could not find."""
    environment = child_environment(Settings(), {"PYTHONPATH": None, "PYTHONHOME": None, "VIRTUAL_ENV": None})
    done = subprocess.run(
        argv, env=environment, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
        check=False,
    )  # fmt: skip
    if done.returncode == 0:
        return done
    missing = _MISSING.findall(done.stderr) if pip else []
    if missing:
        raise ModelError(
            f"pip does not find {', '.join(missing)}. What conda or a build of your own has installed is not on an "
            "index: name its place in pip's settings (find-links), and call this again with a new folder.",
            reason="not_on_index",
        )
    raise ModelError(f"“{' '.join(argv[:4])} …” failed: {(done.stderr or done.stdout).strip()[-500:]}")
