"""`imgcls-lab fork`, `extend` and `lineage`: runs as a tree on the command line."""

from __future__ import annotations

import json

from imgcls_lab.config import TrainConfig
from imgcls_lab.settings import Settings

from .conftest import Command


def test_a_run_is_forked_extended_and_shown_as_a_tree(imgcls: Command, few: TrainConfig, own: Settings) -> None:
    fields = ["--set", f"root={few.root}", "--set", f"model_flavour={few.model_flavour}"]
    changed = few.model_dump(mode="json", exclude_defaults=True, exclude={"root", "model_flavour"})
    fields += [word for name, value in changed.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    launched = imgcls("launch", *fields, "--set", "save_every_epochs=1", "--name", "digits", "--wait", "--json")
    assert launched.code == 0, launched.err
    parent = json.loads(launched.out)["id"]
    forked = json.loads(imgcls("fork", parent, "--at", "1", "--set", "lr=1e-5", "--wait", "--json").out)
    assert (forked["state"], forked["fork_step"], forked["parent_id"], forked["lr"]) == ("succeeded", 5, parent, 1e-5)
    again = imgcls("fork", parent, "--at", "1", "--set", "lr=1e-5")
    assert f"It is there already, as {forked['id']}: {forked['name']} has finished" in again.out
    assert "Nothing was queued." in again.out
    extended = imgcls("extend", forked["id"], "--epochs", "3", "--on-schedule", "restart")
    assert extended.code == 0
    assert "digits, to 3 epochs" in extended.out
    lines = imgcls("lineage", parent).out.splitlines()
    assert [len(line) - len(line.lstrip()) for line in lines] == [0, 2, 4]
    assert "(from step 10)" in lines[2]
    refused = imgcls("fork", parent, "--at", "9")
    assert refused.code != 0
    assert "keeps no checkpoint “9”" in refused.err
    assert "“at” is no setting" in imgcls("fork", parent, "--set", "at=1").err
    assert imgcls("fork", parent, "--set", "seed=3", "--set", "epochs=4").code == 2
