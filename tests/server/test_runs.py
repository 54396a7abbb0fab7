"""Runs over REST: queue, list, show, ask, curves, log, reports."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from serving import Api, Training

from imgcls_lab.events import Finished, Stopped
from imgcls_lab.schemas import EpochReport
from imgcls_lab.schemas.limits import MAX_COMPARED
from imgcls_lab.store import Store

UNKNOWN = "20260101-000000-abcdef"


async def test_a_run_is_queued_once_however_often_it_is_sent(api: Api, config: dict[str, Any], store: Store) -> None:
    body = {"config": config, "name": "first", "idempotency_key": "key-12345"}
    first, second = await api("POST", "runs", body), await api("POST", "runs", body)
    assert (first.status, second.status) == (201, 200)
    assert (first.json["made"], second.json["made"]) == (True, False)
    assert first.json["id"] == second.json["id"]
    assert first.json["state"] == "queued"
    other = await api("POST", "runs", {**body, "name": "second"})
    assert other.status == 409
    assert store.runs.list().total == 1


async def test_replicates_are_one_request_and_are_queued_all_or_none(
    api: Api, config: dict[str, Any], store: Store
) -> None:
    body = {"config": {**config, "seed": 7}, "name": "twins", "tags": ["a"], "idempotency_key": "key-12345"}
    first = await api("POST", "runs/replicates", {**body, "replicates": 3})
    assert first.status == 201
    assert [run["name"] for run in first.json] == ["twins seed=7", "twins seed=8", "twins seed=9"]
    runs = [store.runs.get(run["id"]) for run in first.json]
    assert [run.config["seed"] for run in runs] == [7, 8, 9]
    assert len({run.repetition for run in runs}) == 1
    more = await api("POST", "runs/replicates", {**body, "replicates": 4})
    assert [run["id"] for run in more.json][:3] == [run.id for run in runs]
    assert (more.status, [run["made"] for run in more.json]) == (201, [False, False, False, True])
    assert (await api("POST", "runs/replicates", {**body, "replicates": 4})).status == 200
    other = await api("POST", "runs/replicates", {**body, "replicates": 5, "tags": []})
    assert other.status == 409
    for wrong in (0, 101, True, "3", 2.5, None):
        refused = await api("POST", "runs/replicates", {**body, "replicates": wrong})
        assert (refused.status, [problem["field"] for problem in refused.json["problems"]]) == (400, ["replicates"])
    last = {**config, "seed": 2**32 - 1}
    assert (await api("POST", "runs/replicates", {"config": last, "replicates": 2})).status == 400
    assert (await api("POST", "runs/replicates", {"config": {**config, "root": "/etc"}, "replicates": 2})).status == 403
    assert (await api("POST", "runs/replicates", {"kind": "task", "replicates": 2})).status == 400
    assert store.runs.list().total == 4


async def test_a_config_that_cannot_run_is_refused_field_by_field(
    api: Api, config: dict[str, Any], store: Store
) -> None:
    wrong = {"batch_size": 0, "lr": "fast", "epohs": 3}
    reply = await api("POST", "runs", {"config": {**config, **wrong}})
    assert reply.status == 400
    problems = {problem["field"]: problem["message"] for problem in reply.json["problems"]}
    assert set(problems) == set(wrong)
    assert "epochs" in problems["epohs"]
    reply = await api("POST", "runs", {"config": {**config, "optimizer": "adamm"}})  # a name, which a plugin may have
    assert (reply.status, [problem["field"] for problem in reply.json["problems"]]) == (400, ["optimizer"])
    assert store.runs.list().total == 0


async def test_what_a_run_refers_to_must_be_there(api: Api, config: dict[str, Any]) -> None:
    for field in ("project_id", "dataset_id", "model_id"):
        for number in (99, 2**40):
            assert (await api("POST", "runs", {"config": config, field: number})).status == 404
    assert (await api("POST", "runs", {"config": config, "parent_id": UNKNOWN})).status == 404


async def test_runs_are_compared_and_one_that_is_gone_is_named(api: Api, config: dict[str, Any]) -> None:
    ids = [(await api("POST", "runs", {"config": {**config, "lr": lr}})).json["id"] for lr in (1e-3, 2e-3)]
    reply = await api("GET", f"comparison?run={ids[1]}&run={UNKNOWN}&run={ids[0]}&run={ids[1]}")
    assert reply.status == 200
    assert [run["id"] for run in reply.json["runs"]] == [ids[1], ids[0]]
    assert reply.json["missing"] == [UNKNOWN]
    assert {field["name"]: field["values"] for field in reply.json["differs"]} == {"lr": [2e-3, 1e-3]}
    many = "&".join(f"run=20260101-000000-{number:06x}" for number in range(MAX_COMPARED + 1))
    for query in ("", f"?{many}"):
        assert (await api("GET", f"comparison{query}")).status == 400
    assert (await api("GET", "comparison?run=../etc")).status == 404


async def test_many_runs_are_edited_by_one_request_and_the_answer_undoes_it(
    api: Api, config: dict[str, Any], store: Store
) -> None:
    runs = [(await api("POST", "runs", {"config": config, "name": name, "tags": ["a"]})).json["id"] for name in "xy"]
    edit = {"runs": [*runs, UNKNOWN], "edit": {"add_tags": ["b"], "notes": "seen"}}
    reply = await api("PATCH", "runs", {"edits": [edit]})
    assert reply.status == 200
    assert [(run["id"], run["tags"], run["notes"]) for run in reply.json["changed"]] == [
        (run, ["a", "b"], "seen") for run in runs
    ]
    assert [one["run"] for one in reply.json["refused"]] == [UNKNOWN]
    undone = await api("PATCH", "runs", {"edits": reply.json["undo"]})
    assert {(*run["tags"], run["notes"]) for run in undone.json["changed"]} == {("a", "")}
    one = await api("PATCH", f"runs/{runs[0]}", {"name": "z"})
    assert (one.json["name"], one.json["undo"]["name"]) == ("z", "x")
    assert (await api("PATCH", "runs", {"edits": []})).status == 400
    assert (await api("PATCH", "runs", {"edits": [{"runs": ["../x"], "edit": {}}]})).status == 404
    assert (await api("PATCH", f"runs/{runs[0]}", {"add_tags": ["two words"]})).status == 400
    assert (await api("PATCH", "runs", {"edits": [{"runs": runs, "edit": {"project_id": 2**40}}]})).status == 404
    assert (await api("PATCH", f"runs/{runs[0]}", {"archived": True})).status == 409
    assert (await api("GET", "runs?where=tag:a%20archived=any")).json["total"] == 2


async def test_a_run_asks_for_devices_and_waits_for_others_over_rest(api: Api, config: dict[str, Any]) -> None:
    first = (await api("POST", "runs", {"config": config})).json["id"]
    body = {"config": config, "after": [first], "device": "H100", "gpus": 2, "host": "big", "priority": 3}
    reply = await api("POST", "runs", body)
    assert (reply.status, reply.json["priority"]) == (201, 3)
    detail = (await api("GET", f"runs/{reply.json['id']}")).json
    assert (detail["after"], detail["device_request"]) == ([first], {"device": "H100", "gpus": 2, "host": "big"})
    changed = await api("PATCH", f"runs/{first}", {"priority": 7})
    assert (changed.status, changed.json["priority"]) == (200, 7)
    assert (await api("POST", "runs", {"config": config, "after": [UNKNOWN]})).status == 404
    assert (await api("POST", "runs", {"config": config, "gpus": 0})).status == 400


async def test_only_trainings_are_queued_by_this_route(api: Api, config: dict[str, Any]) -> None:
    reply = await api("POST", "runs", {"kind": "task", "payload": {"path": "/etc/passwd"}})
    assert reply.status == 400
    assert "routes of their own" in reply.json["message"]


async def test_a_projects_limit_is_set_over_rest_and_kept_by_who_does_not_know_of_it(api: Api) -> None:
    number = (await api("POST", "projects", {"name": "p", "max_running": 2})).json["id"]
    assert (await api("PATCH", f"projects/{number}", {"name": "q"})).json["max_running"] == 2
    assert (await api("PATCH", f"projects/{number}", {"name": "q", "max_running": None})).json["max_running"] is None


async def test_the_list_is_filtered_sorted_and_paged(api: Api, config: dict[str, Any]) -> None:
    for index, lr in enumerate((0.1, 0.3, 0.2)):
        await api("POST", "runs", {"config": {**config, "lr": lr}, "name": f"run {index}"})
    cancelled = (await api("GET", "runs", q="run 1")).json["items"][0]
    await api("POST", f"runs/{cancelled['id']}/stop")

    page = (await api("GET", "runs", sort="lr", order="asc", limit=2)).json
    assert [run["lr"] for run in page["items"]] == [0.1, 0.2]
    assert (page["total"], page["counts"]) == (3, {"queued": 2, "cancelled": 1})
    assert [run["lr"] for run in (await api("GET", "runs", sort="lr", order="asc", offset=2)).json["items"]] == [0.3]
    some = (await api("GET", "runs", state=["cancelled", "failed"])).json
    assert [run["name"] for run in some["items"]] == ["run 1"]
    assert (await api("GET", "runs", project=1)).json["total"] == 3


async def test_a_question_that_makes_no_sense_is_refused(api: Api) -> None:
    for path, query in (
        ("runs", {"state": "happy"}),
        ("runs", {"sort": "password"}),
        ("runs", {"order": "up"}),
        ("runs", {"limit": "many"}),
        ("runs", {"offset": "1" * 40}),
        ("runs", {"project": "x"}),
        ("series", {"low": "nan"}),
        ("series", {"high": "inf"}),
        ("series", {"axis": "z"}),
        ("series", {"max_points": "x"}),
    ):
        reply = await api("GET", path, **query)
        assert reply.status == 400, query
        assert reply.json["message"].endswith(".")


async def test_a_run_shows_all_that_its_page_needs(api: Api, train: Callable[..., Training]) -> None:
    training = train()
    training.points(1, 2, 3)
    (training.folder / "manifest.json").write_text('{"seed": 0, "packages": {"numpy": "2.1"}, "git": {"diff": "+"}}')
    shown = (await api("GET", f"runs/{training.run.id}")).json
    assert (shown["state"], shown["step"], shown["total_steps"]) == ("running", 3, 100)
    assert shown["folder"] == str(training.folder)
    assert shown["manifest"] == {"seed": 0}
    assert shown["series_names"] == ["loss/train"]
    assert [attempt["number"] for attempt in shown["attempts"]] == [1]


async def test_a_run_is_stopped_resumed_renamed_and_deleted(api: Api, train: Callable[..., Training]) -> None:
    training = train()
    path = f"runs/{training.run.id}"
    training.points(1, 2)
    assert (await api("DELETE", path)).status == 409
    assert (await api("POST", f"{path}/resume")).status == 409
    assert (await api("POST", f"{path}/stop")).json["desired_state"] == "stop"
    assert (await api("POST", f"{path}/kill")).json["desired_state"] == "kill"
    training.end(Stopped(step=2))
    refused = await api("POST", f"{path}/resume", {"config": {"lr": 0.5, "num_workers": 1}})
    assert (refused.status, [problem["field"] for problem in refused.json["problems"]]) == (400, ["lr"])
    assert (await api("POST", f"{path}/resume", {"config": {"tb_root": "/etc"}})).status == 400
    assert (await api("POST", f"{path}/resume", {"config": {"num_workers": 1}})).json["state"] == "queued"
    assert (await api("GET", path)).json["config"]["num_workers"] == 1
    assert (await api("PATCH", path, {"name": "better", "notes": "n"})).json["name"] == "better"
    assert (await api("PATCH", path, {"name": ""})).status == 400
    assert (await api("POST", f"{path}/kill")).status == 200
    gone = await api("DELETE", path)
    assert (gone.status, gone.json["refused"], gone.json["freed"] > 0) == (200, [], True)
    assert (await api("GET", path)).status == 404
    assert not training.folder.exists()


async def test_a_finished_run_cannot_be_stopped(api: Api, train: Callable[..., Training]) -> None:
    training = train()
    training.points(1)
    training.end(Finished(step=1, best_epoch=1, values={}))
    reply = await api("POST", f"runs/{training.run.id}/stop")
    assert reply.status == 409
    assert "succeeded" in reply.json["message"]


async def test_series_come_thinned_with_their_extremes_and_nan_as_null(
    api: Api, train: Callable[..., Training]
) -> None:
    training = train()
    training.points(*range(1, 400))
    training.points(400, **{"loss/train": 50.0})
    training.points(401, **{"loss/train": math.nan, "lr": 0.1})
    training.points(402)
    reply = (await api("GET", "series", run=training.run.id, tag="loss/train", max_points=40)).json
    (series,) = reply["series"]
    assert series["thinned"]
    assert len(series["step"]) <= 44
    assert 50.0 in series["value"]
    part = (await api("GET", "series", run=training.run.id, low=400, high=401)).json["series"]
    assert {s["tag"]: s["value"] for s in part} == {"loss/train": [50.0, None], "lr": [0.1]}
    assert reply["cursors"][training.run.id]["attempt"] == 1
    assert (await api("GET", "series")).json == {"series": [], "cursors": {}, "inherited": []}


async def test_a_log_is_read_in_pieces_and_broken_bytes_are_replaced(api: Api, train: Callable[..., Training]) -> None:
    training = train()
    path = f"runs/{training.run.id}/log"
    assert (await api("GET", path)).json == {"text": "", "offset": 0, "end": 0, "size": 0}
    (training.folder / "output.log").write_bytes(b"one\n\xfftwo\n" + b"x" * 3_000_000)
    assert (await api("GET", path, offset=0, limit=9)).json["text"] == "one\n\ufffdtwo\n"
    everything = (await api("GET", path, offset=0, limit=10**9)).json
    assert (everything["end"], everything["size"]) == (2**20, 3_000_009)
    tail = (await api("GET", path, offset=-5)).json
    assert (tail["text"], tail["end"]) == ("xxxxx", 3_000_009)


async def test_a_report_is_shown_by_epoch_or_the_last(api: Api, train: Callable[..., Training]) -> None:
    training = train()
    path = f"runs/{training.run.id}/report"
    assert (await api("GET", path)).status == 404
    (training.folder / "reports").mkdir()
    for epoch in (1, 2):
        report = EpochReport(
            epoch=epoch,
            step=epoch,
            split="val",
            images=4,
            values={"accuracy": 0.5},
            classes=[],
            confusion=[[1, 0], [0, 1]],
        )
        (training.folder / "reports" / f"epoch-{epoch:04d}.json").write_text(report.model_dump_json())
    assert (await api("GET", path)).json["epoch"] == 2
    assert (await api("GET", path, epoch=1)).json["confusion"] == [[1, 0], [0, 1]]
    assert (await api("GET", path, epoch=7)).status == 404
    assert "on test/" in (await api("GET", path, split="test")).json["message"]
    tested = report.model_copy(update={"split": "test"})
    (training.folder / "reports" / "test.json").write_text(tested.model_dump_json())
    assert (await api("GET", path, split="test")).json["split"] == "test"
    assert (await api("GET", path)).json["split"] == "val"
    assert (await api("GET", path, split="../test")).status == 400
    (training.folder / "reports" / "epoch-0003.json").write_text("{")
    assert (await api("GET", path, epoch=3)).json["message"].endswith("cannot be shown.")


async def test_what_a_notebook_keeps_of_a_run_changes_with_it(api: Api, train: Callable[..., Training]) -> None:
    training = train()
    cell = (await api("GET", f"runs/{training.run.id}/cell")).json
    run = (await api("GET", f"runs/{training.run.id}")).json
    assert cell["kept"] == f"{run['state']} {run['attempt']} {int(run['epoch'])}"
    assert not cell["ended"]
    assert run["name"] in cell["data"]["text/plain"]
    assert cell["data"]["image/png"] in cell["data"]["text/html"]
    assert (await api("GET", f"runs/{training.run.id}/cell", headers={})).status == 403


async def test_a_run_that_is_none_is_not_found(api: Api) -> None:
    for text in (UNKNOWN, "x", "2026", "..", "%2e%2e", "..%2f..%2fetc", "a%00b", UNKNOWN.upper()):
        for method, path, body in (
            ("GET", text, None),
            ("PATCH", text, {"name": "n"}),
            ("DELETE", text, None),
            ("POST", f"{text}/stop", None),
            ("POST", f"{text}/kill", None),
            ("POST", f"{text}/resume", None),
            ("GET", f"{text}/log", None),
            ("GET", f"{text}/report", None),
            ("GET", f"{text}/cell", None),
        ):
            assert (await api(method, f"runs/{path}", body)).status == 404, (method, path)
        assert (await api("GET", f"series?run={text}")).status == 404


async def test_every_reply_is_json_that_a_browser_reads(api: Api, train: Callable[..., Training]) -> None:
    training = train()
    training.points(1, **{"loss/train": math.inf, "lr": math.nan})

    def refuse(name: str) -> float:
        raise AssertionError(f"{name} is no JSON")

    for path in ("runs", f"runs/{training.run.id}", f"series?run={training.run.id}"):
        json.loads((await api("GET", path)).body, parse_constant=refuse)


async def test_a_list_has_columns_and_many_runs_are_asked_and_deleted(api: Api, config: dict[str, Any]) -> None:
    runs = [(await api("POST", "runs", {"config": {**config, "epochs": n}})).json["id"] for n in (1, 2)]
    page = (await api("GET", "runs?columns=epochs,optimizer&sort=epochs&order=asc&curves=1")).json
    assert [(run["values"]["epochs"], run["curve"]) for run in page["items"]] == [(1, []), (2, [])]
    assert (await api("GET", "runs/ids?sort=epochs")).json == {"ids": runs[::-1]}
    columns = (await api("GET", "runs/columns")).json
    assert {"key": "epochs", "group": "optimisation"}.items() <= next(
        column for column in columns["columns"] if column["key"] == "epochs"
    ).items()
    for wrong in ("runs?columns=nothing", "runs?sort=nothing", "runs?curves=2", "runs/ids?where=x>1"):
        assert (await api("GET", wrong)).status == 400, wrong
    stopped = await api("POST", "runs/actions", {"action": "stop", "runs": [*runs, UNKNOWN]})
    assert [run["state"] for run in stopped.json["changed"]] == ["cancelled", "cancelled"]
    assert [one["run"] for one in stopped.json["refused"]] == [UNKNOWN]
    resumed = await api("POST", "runs/actions", {"action": "resume", "runs": runs[:1]})
    assert [run["id"] for run in resumed.json["changed"]] == runs[:1]
    told = (await api("POST", "runs/delete", {"runs": runs, "dry_run": True})).json
    assert (told["deleted"], [one["run"] for one in told["refused"]]) == (runs[1:], runs[:1])
    done = (await api("POST", "runs/delete", {"runs": runs})).json
    assert (done["deleted"], done["dry_run"], abs(done["freed"] - told["freed"]) < 1000) == (runs[1:], False, True)
    assert [run["id"] for run in (await api("GET", "runs")).json["items"]] == runs[:1]
    for body in ({"runs": []}, {"runs": runs, "action": "delete"}, {"runs": [UNKNOWN] * 1001, "action": "stop"}):
        assert (await api("POST", "runs/actions", body)).status == 400


async def test_a_list_is_folded(api: Api, config: dict[str, Any]) -> None:
    for seed in (1, 2):
        await api("POST", "runs", {"config": {**config, "seed": seed}})
    page = (await api("GET", "runs/groups?group=sweep,seeds&limit=5")).json
    assert [(row["group"]["kind"], row["group"]["runs"], row["run"]) for row in page["rows"]] == [("seeds", 2, None)]
    assert (page["total"], page["runs"], page["counts"]) == (1, 2, {"queued": 2})
    for wrong in ("", "?group=", "?group=owner", "?group=seeds&sort=x"):
        assert (await api("GET", f"runs/groups{wrong}")).status == 400, wrong


async def test_views_of_the_list_are_saved(api: Api) -> None:
    body = {"name": "fast", "view": {"where": "lr>1e-3", "columns": ["optimizer"], "sort": "lr", "group": ["sweep"]}}
    saved = await api("POST", "views", body)
    assert (saved.status, saved.json["view"]["descending"]) == (201, True)
    path = f"views/{saved.json['id']}"
    assert (await api("PATCH", path, {**body, "name": "slow"})).json["name"] == "slow"
    assert [view["name"] for view in (await api("GET", "views")).json] == ["slow"]
    assert (await api("GET", "views/counts")).json == [{"id": saved.json["id"], "runs": 0}]
    assert (await api("POST", "views", {**body, "view": {"where": "nothing>1"}})).status == 400
    assert (await api("POST", "views", {**body, "view": {"group": ["owner"]}})).status == 400
    assert (await api("DELETE", path)).status == 204
    assert (await api("DELETE", path)).status == 404
