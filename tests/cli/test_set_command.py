"""`imgcls-lab set`: a run that trains under a real executor obeys a change, and says since when."""

from __future__ import annotations

import json
from typing import Any

from imgcls_lab.config import TrainConfig
from imgcls_lab.settings import Settings
from tests.waiting import until

from .conftest import Command


def test_a_run_is_changed_while_it_trains(imgcls: Command, few: TrainConfig, own: Settings) -> None:
    fields = ["--set", f"root={few.root}", "--set", f"model_flavour={few.model_flavour}"]
    changed = few.model_dump(mode="json", exclude_defaults=True, exclude={"root", "model_flavour"})
    changed |= {"epochs": 100_000, "lr": 1e-3, "schedule": "constant"}
    fields += [word for name, value in changed.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    launched = imgcls("launch", *fields, "--name", "digits", "--json")
    assert launched.code == 0, launched.err
    run = json.loads(launched.out)["id"]

    def shown() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(imgcls("show", run, "--json").out)
        return found

    try:
        until(lambda: shown()["step"] > 0, seconds=120)
        said = imgcls("set", run, "lr*=0.5", "early_stopping_patience=99999")
        assert said.code == 0, said.err
        assert "Learning rate 0.001 → 0.0005, from the next step on" in said.out
        assert "Early stopping never → 99999" in said.out
        until(lambda: all(change["step"] is not None for change in shown()["changes"]), seconds=60)
        until(lambda: shown()["latest"]["lr"] == 5e-4, seconds=60)
        assert "has these settings already" in imgcls("set", run, "lr=5e-4").out
        for words, said_of in (
            (("batch_size=8",), "fork the run"),
            (("epochs=0",), "epochs"),
            (("lr*=fast",), "takes a number"),
            (("lr",), "NAME=VALUE"),
            (("lr_factor=0.5",), "lr*=0.3"),
        ):
            refused = imgcls("set", run, *words)
            assert refused.code != 0
            assert said_of in refused.err
    finally:
        imgcls("kill", run, "--wait")
    assert "resume it" in imgcls("set", run, "lr*=2").err
