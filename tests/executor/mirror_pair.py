"""A head and a node whose folders meet in an object store, without processes; for tests of the mirror."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from imgcls_lab import run_layout, signing
from imgcls_lab.events import EventWriter, Metrics, read_events
from imgcls_lab.executor.mirror.head import Pull
from imgcls_lab.executor.mirror.index import RunObjects
from imgcls_lab.executor.mirror.node import Push, restore
from imgcls_lab.executor.mirror.object_store import ObjectStore

RUN = "20260101-000000-abcdef"


class Pair:
    """A head and a node with a folder each, and a store between them."""

    def __init__(self, place: Path, url: str) -> None:
        self.objects = RunObjects(ObjectStore(url), RUN, signing.store_key(place, RUN))
        self.head = place / "head" / RUN
        self.node = place / "node" / RUN
        self.head.mkdir(parents=True)
        (self.head / "config.json").write_text("{}")
        self.attempt = 0

    def begin(self) -> None:
        """A new attempt, handed over and taken."""
        self.attempt += 1
        self.pull = Pull(self.objects, self.head, self.attempt)
        self.pull.hand_over()
        restore(self.objects, self.node, self.attempt)
        self.push = self.new_push()
        self.events = EventWriter(self.node, self.attempt)

    def new_push(self) -> Push:
        self.over, hurry = threading.Event(), threading.Event()
        return Push(
            self.objects, self.node, self.attempt, interval=0, beat_every=0, over=self.over, hurry=hurry
        )  # fmt: skip

    def steps(self, first: int, last: int) -> None:
        for step in range(first, last + 1):
            self.events.write(Metrics(step=step, epoch=0, values={"loss/train": 1 / step}))

    def seen(self) -> list[int]:
        """Steps that the head's folder holds, of all attempts."""
        paths = run_layout.event_files(self.head)
        return [e.step for path in paths for e in read_events(path)[0] if isinstance(e, Metrics)]

    def sync(self) -> None:
        self.push.tick()
        self.pull.pull()

    def end(self) -> None:
        run_layout.write_atomic(self.node / run_layout.exit_name(self.attempt), json.dumps({"code": 0}))
        self.push.run()


def checkpoint(folder: Path, name: str, content: bytes, link: str | None = "last") -> None:
    """A checkpoint as the engine leaves one."""
    place = folder / "checkpoints"
    (place / name).mkdir(parents=True)
    (place / name / "model.safetensors").write_bytes(content)
    (place / name / "empty.json").write_bytes(b"")
    if link:
        (place / link).unlink(missing_ok=True)
        (place / link).symlink_to(name)


def tree(folder: Path) -> dict[str, bytes | str]:
    """What a folder holds beside what each side keeps for itself."""
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if not path.name.startswith(".") and path.name not in ("desired", "heartbeat") and not path.is_dir()
    }
