"""The form's schema and check, the demo data, and what the server says of itself."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from serving import Api, Training

from imgcls_lab import __version__
from imgcls_lab.config import GROUPS, TrainConfig
from imgcls_lab.events import Finished, RunKind
from imgcls_lab.run_layout import MANIFEST
from imgcls_lab.schemas import ModelEdit, SubmitRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, states


async def test_the_schema_has_every_field_and_a_start(api: Api) -> None:
    reply = (await api("GET", "configs/schema")).json
    assert set(reply["json_schema"]["properties"]) == set(TrainConfig.model_fields)
    assert list(reply["groups"]) == list(GROUPS)
    assert (reply["start"]["root"], reply["start"]["batch_size"]) == ("", 32)


async def test_the_demo_is_written_once_and_fills_the_form(api: Api, store: Store, settings: Settings) -> None:
    assert not (await api("GET", "info")).json["demo_ready"]
    for _ in range(2):
        assert (await api("POST", "demo")).json["demo_ready"]
    assert [entry.name for entry in store.datasets.list()] == ["digits"]
    start = (await api("GET", "configs/schema")).json["start"]
    assert start["root"] == str(Path(settings.datasets_dir) / "digits")
    check = (await api("POST", "configs/check", {"config": start})).json
    assert check["problems"] == []
    assert check["facts"]["Classes"].startswith("10: 0, 1, 2")


async def test_a_new_form_starts_with_the_last_run(api: Api, config: dict[str, Any]) -> None:
    other = (await api("POST", "projects", {"name": "other"})).json["id"]
    await api("POST", "runs", {"config": {**config, "lr": 0.125}, "project_id": other})
    await api("POST", "runs", {"config": {**config, "lr": 0.25}})
    assert (await api("GET", "configs/schema")).json["start"]["lr"] == 0.25
    assert (await api("GET", "configs/schema", project=other)).json["start"]["lr"] == 0.125


async def test_info_says_where_things_live(api: Api, home: Path) -> None:
    info = (await api("GET", "info")).json
    assert info["version"] == __version__
    assert (info["home"], info["datasets_dir"]) == (str(home), str(home / "datasets"))
    assert str((home / "datasets").resolve()) in info["roots"]


async def test_devices_say_that_no_executor_runs(api: Api) -> None:
    reply = (await api("GET", "devices")).json
    assert reply["devices"] == []
    assert "executor" in reply["message"]


# ── the check ───────────────────────────────────────────────────────────────────────────────────────────────────
async def check(api: Api, config: dict[str, Any], **changes: Any) -> tuple[dict[str, str], dict[str, str]]:
    reply = await api("POST", "configs/check", {"config": {**config, **changes}})
    assert reply.status == 200, reply.body
    return {p["field"]: p["message"] for p in reply.json["problems"]}, reply.json["facts"]


async def test_a_good_config_has_facts_and_no_problem(api: Api, config: dict[str, Any], store: Store) -> None:
    problems, facts = await check(api, config)
    assert problems == {}
    assert facts["Images"] == "10 train, 4 val"
    assert facts["Classes"] == "2: cat, dog"
    assert facts["Steps"] == "3 an epoch, 9 in all"
    assert re.search(r"4 to 6 .*1 : 1.5 \(“dog”, “cat”\)", facts["Balance"])
    assert "GB" in facts["Disk"]
    assert store.runs.list().total == 0


async def test_the_check_counts_the_steps_and_gives_the_learning_rates(api: Api, config: dict[str, Any]) -> None:
    for changes, counts in (
        ({"batch_size": 10}, (1, 1, 3)),
        ({"batch_size": 3}, (3, 3, 9)),  # the tenth image joins the batch before it
        ({"batch_size": 4, "gradient_accumulation_steps": 2}, (3, 2, 6)),
        ({"batch_size": 4, "num_processes": 2}, (2, 2, 6)),  # two images are too few for two processes
    ):
        reply = (await api("POST", "configs/check", {"config": {**config, **changes}})).json
        assert tuple(reply["steps"].values()) == counts
        assert f"{counts[2]} in all" in reply["facts"]["Steps"]
        assert reply["lr_curve"]["step"] == list(range(counts[2]))
        assert max(reply["lr_curve"]["lr"]) <= TrainConfig.model_fields["lr"].default


async def test_without_data_or_with_too_few_there_are_no_steps(
    api: Api, config: dict[str, Any], home: Path, images: Path
) -> None:
    for changes in ({"root": str(home / "datasets" / "nowhere")}, {"batch_size": 0}):
        reply = (await api("POST", "configs/check", {"config": {**config, **changes}})).json
        assert (reply["steps"], reply["lr_curve"]) == (None, None)
    reply = (await api("POST", "configs/check", {"config": {**config, "batch_size": 32, "num_processes": 6}})).json
    assert {problem["field"] for problem in reply["problems"]} == {"num_processes"}
    shutil.rmtree(images / "val")
    reply = (await api("POST", "configs/check", {"config": {**config, "group_pattern": "(patient[0-9]+)"}})).json
    assert {problem["field"] for problem in reply["problems"]} == {"group_pattern"}


async def test_each_problem_stands_at_its_field(api: Api, config: dict[str, Any], home: Path) -> None:
    problems, _ = await check(api, config, batch_size=0)
    assert set(problems) == {"batch_size"}
    problems, _ = await check(api, config, root=str(home / "datasets" / "nowhere"))
    assert "nowhere" in problems["root"]
    (home / "models" / "empty").mkdir()
    problems, _ = await check(api, config, model_flavour=str(home / "models" / "empty"))
    assert "config.json" in problems["model_flavour"]
    problems, _ = await check(api, config, root="/etc", ckpt_dir="/etc", tb_root="~root", model_flavour="/etc", lr=-1)
    assert set(problems) == {"root", "ckpt_dir", "tb_root", "model_flavour", "lr"}
    problems, _ = await check(api, config, model_flavour="google/vit-base-patch16-224")
    assert problems == {}


async def test_an_empty_class_is_a_problem_of_the_root(api: Api, config: dict[str, Any], images: Path) -> None:
    (images / "train" / "bird").mkdir()
    problems, facts = await check(api, config)
    assert "bird" in problems["root"]
    assert "Steps" not in facts


async def test_without_val_the_held_out_images_are_not_counted(api: Api, config: dict[str, Any], images: Path) -> None:
    os.rename(images / "val", images.parent / "val")
    problems, facts = await check(api, config, batch_size=1)
    assert problems == {}
    assert facts["Steps"] == "8 an epoch, 24 in all"
    assert "held out" in facts["Note"]


async def test_a_flat_folder_of_classes_is_taken_and_what_is_held_out_is_said(
    api: Api, config: dict[str, Any], images: Path
) -> None:
    flat = (images / "train").rename(images.parent / "flat")
    (flat / "cat" / "clip.mp4").write_bytes(b"x")
    problems, facts = await check(api, config, root=str(flat), batch_size=1)
    assert problems == {}
    assert facts["Images"] == "10 train, of which 2 are held out for validation"
    assert facts["Steps"] == "8 an epoch, 24 in all"
    assert "2 folders" in facts["Note"]
    assert facts["Not taken"] == "1 file is not taken: 1 .mp4 (no images of a known format)."
    assert (await api("POST", "runs", {"config": {**config, "root": str(flat)}})).status == 201


async def test_an_image_size_left_empty_is_told_where_images_are_small(api: Api, config: dict[str, Any]) -> None:
    sentence = (await check(api, config))[1]["Image size"]
    assert "about 4 px" in sentence
    assert "image_size, such as 32" in sentence
    assert "Image size" not in (await check(api, config, image_size=32))[1]


async def test_a_half_filled_form_is_answered_too(api: Api) -> None:
    for values in ({}, {"root": None}, {"root": 3, "lr": []}, {"root": ""}, {"model_flavour": {}}):
        reply = await api("POST", "configs/check", {"config": values})
        assert reply.status == 200
        assert "root" in {problem["field"] for problem in reply.json["problems"]}


async def test_a_local_model_is_found_or_missed_at_once_and_a_hub_id_is_said_to_be_looked_up(
    api: Api, config: dict[str, Any], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems, _ = await check(api, config, model_flavour=str(home / "models" / "nowhere"))
    assert "does not exist" in problems["model_flavour"]
    problems, _ = await check(api, config, model_flavour="no model at all")
    assert "neither a folder" in problems["model_flavour"]
    assert (await check(api, config))[1]["Model"] == "A folder on this machine"

    hub = home / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(hub))
    problems, facts = await check(api, config, model_flavour="some/model")
    assert problems == {}
    assert "looked up" in facts["Model"]
    cached = hub / "models--some--model"
    (cached / "snapshots" / "abc").mkdir(parents=True)
    (cached / "snapshots" / "abc" / "config.json").write_text("{}")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc")
    assert (await check(api, config, model_flavour="some/model"))[1]["Model"] == "From the hub, on this machine already"


async def test_the_check_says_what_the_last_scan_left_out(
    api: Api, config: dict[str, Any], store: Store, settings: Settings
) -> None:
    assert "Left out" not in (await check(api, config))[1]
    run = (await api("POST", "runs", {"config": config, "name": "first"})).json["id"]
    with store.database.write() as session:
        states.change_run(session, run, attempt=1)
    folder = settings.run_dir(run)
    folder.mkdir(parents=True, exist_ok=True)
    bad = {"train/cat/1.png": "“1.png” is no image.", "train/cat/2.png": "“2.png” is cut off."}
    (folder / MANIFEST).write_text(json.dumps({"data": {"quarantined": bad}}))
    sentence = "2 images that “first” could not read, such as train/cat/1.png; its page says why."
    assert (await check(api, config))[1]["Left out"] == sentence


async def test_ones_own_data_start_from_real_defaults_and_a_model_that_was_trained_before(
    api: Api, store: Store, home: Path
) -> None:
    await api("POST", "demo")
    reply = (await api("GET", "configs/schema")).json
    assert (reply["start_from"], reply["start"]["image_size"]) == ("“digits demo”", 32)
    own = reply["defaults"]
    assert (own["root"], own["model_flavour"], own["image_size"], own["hflip"]) == ("", "", None, None)
    assert own["lr"] == TrainConfig.model_fields["lr"].default
    store.models.add(ModelEdit(name="resnet", flavour="microsoft/resnet-50"))
    assert (await api("GET", "configs/schema")).json["defaults"]["model_flavour"] == "microsoft/resnet-50"


async def test_a_new_form_starts_with_the_last_training_and_says_whose_values_these_are(
    api: Api, config: dict[str, Any], store: Store
) -> None:
    await api("POST", "runs", {"config": {**config, "lr": 0.25}, "name": "mine"})
    store.runs.submit(SubmitRequest(kind=RunKind.NOTEBOOK, name="a notebook"))
    reply = (await api("GET", "configs/schema")).json
    assert (reply["start"]["lr"], reply["start_from"]) == (0.25, "the last run, “mine”")
    assert reply["start_project_id"] == 1


async def test_images_are_drawn_only_as_a_model_sees_them_whose_files_are_here(
    api: Api, config: dict[str, Any], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(home / "hub"))
    for changes, expected in (({}, True), ({"model_flavour": "some/model"}, False), ({"plugins": ["a.py"]}, False)):
        reply = await api("POST", "configs/check", {"config": {**config, **changes}})
        assert reply.json["may_draw"] is expected, changes


# ── what a launch would take ────────────────────────────────────────────────────────────────────────────────────────
async def test_the_check_says_what_the_program_would_choose(api: Api, config: dict[str, Any]) -> None:
    given = {**config, "batch_size": 5, "eval_batch_size": None, "augmentation": "heavy", "num_workers": None}
    resolved = (await api("POST", "configs/check", {"config": given})).json["resolved"]
    assert resolved["eval_batch_size"] == "10"
    assert resolved["monitor_mode"] == "higher"
    assert resolved["hflip"] == "half of them"
    assert resolved["randaugment"] == "6"
    assert resolved["device"].startswith("CPU")
    assert "val/" in resolved["val_fraction"]
    given |= {"num_workers": 3, "device": "cpu", "hflip": True}
    resolved = (await api("POST", "configs/check", {"config": given})).json["resolved"]
    assert not {"num_workers", "device", "hflip"} & set(resolved)  # those that the config says


async def test_time_memory_and_disk_are_those_of_runs_like_it(
    api: Api, config: dict[str, Any], train: Callable[..., Training], store: Store
) -> None:
    reply = (await api("POST", "configs/check", {"config": config})).json
    assert (reply["estimate"], reply["may_try"]) == (None, True)
    like = train()
    like.points(3, **{"loss/train": 1.0, "throughput/images_per_second": 50.0, "device/memory_gb": 0.5})
    reply = (await api("POST", "configs/check", {"config": config})).json
    assert reply["estimate"]["like"] == [like.run.name]
    assert reply["estimate"]["memory"] == 500_000_000
    assert reply["estimate"]["seconds"] == pytest.approx(9 * 4 / 50)  # steps by batch, as fast as that run
    assert like.run.name in reply["facts"]["Time"]
    like.end(Finished(step=3, best_epoch=0, values={}))
    ended = (await api("POST", "configs/check", {"config": config})).json
    assert ended["estimate"] == reply["estimate"], (
        "a run that has ended holds no device, and is remembered by its attempt"
    )
    other = (await api("POST", "configs/check", {"config": {**config, "image_size": 999}})).json
    assert other["estimate"] is None  # another input size costs something else


async def test_a_speed_trial_is_a_task_that_executes_no_plugins(api: Api, config: dict[str, Any], store: Store) -> None:
    reply = await api("POST", "configs/trial", {"config": config})
    assert reply.status == 201
    run = store.runs.get(reply.json["id"])
    assert run.kind is RunKind.TASK
    assert run.payload["speed_trial"]["batch_size"] == config.get("batch_size", 32)
    refused = await api("POST", "configs/trial", {"config": {**config, "plugins": ["/tmp/x.py"]}})
    assert refused.status in (400, 403)
    assert (await api("POST", "configs/trial", {"config": {**config, "root": "/etc"}})).status in (400, 403)
