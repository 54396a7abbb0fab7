"""A model that is downloaded from a hub: the run says so, and a stop ends it at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from imgcls_lab.config import TrainConfig
from tests import hub_server
from tests.hub_server import Hub

from .conftest import events_of, of_type

Make = Callable[..., TrainConfig]


def start(folder: Path, hub: Hub) -> subprocess.Popen[bytes]:
    with (folder / "output.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "imgcls_lab.engine", str(folder)],
            env={**os.environ, **hub.environment},
            stdout=log,
            stderr=log,
        )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_a_download_at_once_and_a_resume_begins_it_anew(
    make_config: Make, tiny_vit: Path, tmp_path: Path, number: signal.Signals
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    config = make_config(model_flavour=hub_server.NAME, load_pretrained=True, epochs=1)
    (folder / "config.json").write_text(config.model_dump_json())
    with hub_server.serving(tiny_vit, tmp_path / "hub") as hub:
        process = start(folder, hub)
        assert hub.half_sent.wait(120), (folder / "output.log").read_text()
        process.send_signal(number)
        assert process.wait(30) == 0, (folder / "output.log").read_text()
        phases = [event.name for event in of_type(folder, "phase")]
        assert [name for name in phases if name.startswith("downloading the model, ")] == phases[-1:]
        assert events_of(folder)[-1].type == "stopped"
        assert hub.half_files() == []

        hub.go_on.set()
        assert start(folder, hub).wait(120) == 0, (folder / "output.log").read_text()
        assert events_of(folder, 2)[-1].type == "finished"
        again = tmp_path / "again"
        again.mkdir()
        (again / "config.json").write_text(config.model_dump_json())
        assert start(again, hub).wait(120) == 0
        assert not [event for event in of_type(again, "phase") if "downloading" in event.name]


def test_the_parts_of_large_weights_are_counted(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from imgcls_lab.engine.model import hub_files\n"
        "folder, commit = hub_files.find(sys.argv[1], None)\n"
        "print(hub_files.missing_bytes(sys.argv[1], commit, folder))\n"
        "hub_files.fetch_weights(sys.argv[1], commit, folder)\n"
        "print(hub_files.missing_bytes(sys.argv[1], commit, folder))\n"
    )
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "resnet"}')
    parts = [f"model-{number:05}-of-00002.safetensors" for number in (1, 2)]
    for size, part in enumerate(parts, start=1):
        (model / part).write_bytes(bytes(size * 1000))
    weights = ", ".join(f'"layer.{part}": "{part}"' for part in parts)
    (model / "model.safetensors.index.json").write_text(f'{{"weight_map": {{{weights}}}}}')
    with hub_server.serving(model, tmp_path / "hub") as hub:
        done = subprocess.run(
            [sys.executable, "-c", code, hub_server.NAME],
            env={**os.environ, **hub.environment},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stdout.split() == ["3000", "0"], done.stderr
