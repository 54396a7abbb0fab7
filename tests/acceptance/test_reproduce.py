"""A run is computed again, to the bit, in a new environment that its manifest alone describes."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.proofs.requirements import needed
from imgcls_lab.schemas import Certificate

Make = Callable[..., TrainConfig]
PLACES = "import imgcls_lab, torch; print(imgcls_lab.__file__, torch.__file__)"


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All packages that the project needs, as wheels made of what is installed: pip finds them without a network."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in needed():
        with contextlib.suppress(metadata.PackageNotFoundError):
            pack(metadata.distribution(name), folder)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    yield
    for large in (folder, tmp_path / "env"):  # some gigabytes each
        shutil.rmtree(large, ignore_errors=True)


def pack(found: metadata.Distribution, folder: Path) -> None:
    """Make a wheel of an installed package. Programs are left out: pip makes them anew."""
    about = str(getattr(found, "_path").name)  # noqa: B009
    tag = (found.read_text("WHEEL") or "").rpartition("Tag: ")[2].split("\n")[0].strip()
    inside = [file for file in found.files or [] if ".." not in file.parts and file.suffix != ".pyc"]
    if not tag or not inside:
        return
    stem = about.removesuffix(".dist-info")
    with zipfile.ZipFile(folder / f"{stem}-{tag}.whl", "w", zipfile.ZIP_STORED) as wheel:
        kept = []
        for file in inside:
            place = Path(str(file.locate()))
            if file.name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json") or not place.is_file():
                continue
            wheel.write(place, file.as_posix())
            kept.append(f"{file.as_posix()},,\n")
        wheel.writestr(f"{about}/RECORD", "".join([*kept, f"{about}/RECORD,,\n"]))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("wheels")
def test_a_run_is_reproduced_in_a_new_environment(make_config: Make, tmp_path: Path) -> None:
    train(make_config(epochs=2), tmp_path / "run")
    command = [Path(sys.executable).with_name("imgcls-lab"), "reproduce", tmp_path / "run", "--env", tmp_path / "env"]
    done = subprocess.run([*command, "--steps", "16"], capture_output=True, text=True, check=False, cwd=tmp_path)
    print(f"\n{done.stdout}{done.stderr}(target: bit-identical)")
    assert done.returncode == 0
    found = Certificate.model_validate_json((tmp_path / "run/certificate.json").read_text())
    inside = [tmp_path / "env/bin/python", "-I", "-c", PLACES]
    paths = subprocess.run(inside, capture_output=True, text=True, check=True, cwd=tmp_path).stdout.split()
    assert all(path.startswith(str(tmp_path / "env")) for path in paths)
    assert (found.identical, found.last_step, found.differences) == (True, 16, [])
