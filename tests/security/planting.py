"""Plants run folders as a stranger would, with everything in them that a careless program might execute."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from imgcls_lab.identity import ProcessIdentity, host_name
from imgcls_lab.run_layout import new_run_id
from imgcls_lab.settings import Settings


@dataclass
class Trap:
    """Everything that is planted writes its name into `canary`, if it is ever executed."""

    settings: Settings
    base: Path
    config: dict[str, Any]
    owner: ProcessIdentity  # of an innocent process

    @property
    def canary(self) -> Path:
        return self.base / "canary"

    @property
    def executed(self) -> list[str]:
        return self.canary.read_text().split() if self.canary.exists() else []

    def code(self, what: str) -> str:
        return f"open({str(self.canary)!r}, 'a').write({what!r} + chr(10))\n"

    def interpreter(self) -> Path:
        """A Python that says so, and then is one."""
        path = self.base / "python"
        path.write_text(f"#!{sys.executable}\n{self.code('python')}import os, sys\n"
                        f"os.execv({sys.executable!r}, [{sys.executable!r}, *sys.argv[1:]])\n")  # fmt: skip
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    def plant(self, kind: str = "train", *, state: str = "stopped", external: bool = True, **row: Any) -> str:
        """A folder that says of itself that it is a run of this very database and host."""
        run_id = new_run_id()
        folder = self.settings.run_dir(run_id)
        (folder / "plugins").mkdir(parents=True)
        (folder / "checkpoints" / "a001-s00000002").mkdir(parents=True)
        plugin = folder / "plugins" / "01-evil.py"
        plugin.write_text(self.code("plugin"))
        named = self.base / "evil.py"
        named.write_text(self.code("named plugin"))
        config = {**self.config, "plugins": [str(named)]} if kind == "train" else {}
        (folder / "config.json").write_text(json.dumps(config))
        sha256 = hashlib.sha256(plugin.read_bytes()).hexdigest()
        record = [{"name": plugin.name, "sha256": sha256, "signature": "0" * 64}]
        (folder / "manifest.json").write_text(json.dumps({"plugins": record, "config": config}))
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(self.code("notebook"))])
        (folder / "source.ipynb").write_text(nbformat.writes(notebook))
        self._write_process_files(folder)
        self._write_study(folder)
        self._write_info(folder, kind, config, {"state": state, "external": external, **row})
        return run_id

    def _write_process_files(self, folder: Path) -> None:
        owner = json.loads(self.owner.to_json())
        (folder / "owner.json").write_text(json.dumps({**owner, "attempt": 1, "trainer": owner}))
        script = ["/bin/sh", "-c", f"echo launch >> {self.canary}"]
        for number in (1, 2, 3):
            (folder / f"launch-{number:03d}.json").write_text(
                json.dumps({"run_id": folder.name, "attempt": number, "argv": script, "environment": {}, "locks": [],
                            "grace": 1, "deadline": 1, "beat_every": 1, "log_cap": 1000})
            )  # fmt: skip
        (folder / "exit-001.json").write_text(json.dumps({"attempt": 1, "code": 0, "t": 1.0, "asked": "run"}))
        (folder / "desired").write_text("run")
        pickle = b"cos\nsystem\n(S'echo pickle >> " + str(self.canary).encode() + b"'\ntR."
        for name in ("training_state.pt", "model.safetensors", "state.safetensors", "state.json"):
            (folder / "checkpoints" / "a001-s00000002" / name).write_bytes(pickle)
        (folder / "checkpoints" / "last").symlink_to("a001-s00000002")

    def _write_study(self, folder: Path) -> None:
        with sqlite3.connect(folder / "study.db") as study:
            study.execute("CREATE TABLE trial_params (param_name TEXT)")
        trial = {"number": 0, "params": {"lr": 0.1}, "identity": "x", "run_id": None}
        (folder / "trials.json").write_text(json.dumps({"trials": [trial]}))

    def _write_info(self, folder: Path, kind: str, config: dict[str, Any], row: dict[str, Any]) -> None:
        digest = hashlib.sha256((folder / "source.ipynb").read_bytes()).hexdigest()
        payloads = {
            "notebook": {"digest": digest, "kernel": "python3", "parameters": {}, "notebook": f"{self.base}/a.ipynb"},
            "sweep": {"request": {"space": {"lr": {"values": [0.1, 0.2]}}, "strategy": "grid", "metric": "accuracy",
                                  "base": {**self.config, "plugins": [str(self.base / "evil.py")]}}},
        }  # fmt: skip
        owner = json.loads(self.owner.to_json())
        rows = {
            "number": 7_000_000, "state": "stopped", "desired_state": "run", "attempt": 1, "priority": 99,
            "revision": 999,
            "created_at": 1.0, "queued_at": 1.0, "updated_at": 1.0, "host": host_name(), "devices": [], "latest": {},
            "config": config, "saved_step": 2, "view_only": False, "owner": "", **row,
        }  # fmt: skip
        attempt = {
            "number": 1, "state": rows["state"], "host": host_name(), "owner": owner, "pid": owner["pid"],
            "devices": [],
            "started_at": 1.0, "ended_at": None, "events_offset": 0, "seq": 0,
        }  # fmt: skip
        info = {
            "format": 2, "id": folder.name, "kind": kind, "name": f"planted {kind}", "project": "default",
            "parent_id": None, "notes": "", "created_at": 1.0, "dataset_id": None, "model_id": None,
            "python": str(self.interpreter()), "payload": payloads.get(kind, {}), "device": "cpu", "gpus": 1,
            "host": None, "row": rows, "attempts": [attempt], "after": [], "alerts": [], "signature": "0" * 64,
        }  # fmt: skip
        (folder / "run.json").write_text(json.dumps(info))
