"""Which paths a request may name: every spelling of a way out, links, and things that are no folders."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from serving import Api, Training

from imgcls_lab.settings import Settings
from imgcls_lab.store import Store


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A good data set and model that lies where no request may look."""
    root = tmp_path / "private"
    for name in ("a", "b"):
        (root / "train" / name).mkdir(parents=True)
        (root / "train" / name / "1.png").write_bytes(b"secret")
    (root / "config.json").write_text("{}")
    return root


def ways_out(settings: Settings, outside: Path, tmp_path: Path) -> list[str]:
    datasets = Path(settings.datasets_dir)
    (datasets / "link").symlink_to(outside)
    (datasets / "chain").symlink_to(datasets / "link")
    (datasets / "parent").symlink_to("..")
    (datasets / "loop").symlink_to("loop")
    return [
        str(outside),
        f"{outside}/",
        f"/{outside}",
        f"{datasets}/../../{outside.name}",
        f"{datasets}/./../../{outside.name}/.",
        f"{datasets}/link",
        f"{datasets}/chain/train/..",
        f"{datasets}/parent/../{outside.name}",
        f"{datasets}/loop",
        os.path.relpath(outside),
        f"./{os.path.relpath(outside)}",
        "..",
        ".",
        "~",
        "~root",
        "~nobody-here/x",
        "/",
        "/etc",
        "/etc/passwd",
        "/proc/self/root",
        "/dev/zero",
        "file:///etc",
        f"{datasets}-evil",
        f"{datasets}/" + "x/" * 300 + "../" * 302 + "etc",
        "\\\\server\\share",
        "a/../../../../../../../../etc",
    ]


async def test_no_spelling_leads_out_of_the_allowed_folders(
    api: Api, settings: Settings, outside: Path, tmp_path: Path, config: dict[str, Any], store: Store
) -> None:
    for path in ways_out(settings, outside, tmp_path):
        replies = [
            ("root", await api("POST", "datasets", {"name": "x", "root": path})),
            ("root", await api("POST", "runs", {"config": {**config, "root": path}})),
            ("root", await api("POST", "configs", {"name": "x", "config": {**config, "root": path}})),
            ("ckpt_dir", await api("POST", "runs", {"config": {**config, "ckpt_dir": path}})),
            ("tb_root", await api("POST", "runs", {"config": {**config, "tb_root": path}})),
        ]
        if not path.startswith("file:"):
            replies.append(("model_flavour", await api("POST", "runs", {"config": {**config, "model_flavour": path}})))
            replies.append(("flavour", await api("POST", "models", {"name": "x", "flavour": path})))
        for field, reply in replies:
            no_path = path.endswith("loop") or path.startswith("~nobody")
            assert reply.status == (400 if no_path else 403), (field, path, reply.body)
            assert [problem["field"] for problem in reply.json["problems"]] == [field]
        check = await api("POST", "configs/check", {"config": {**config, "root": path}})
        assert [problem["field"] for problem in check.json["problems"]] == ["root"], path
        assert "Classes" not in check.json["facts"]
    assert (store.runs.list().total, store.configs.list(), store.datasets.list(), store.models.list()) == (
        0,
        [],
        [],
        [],
    )


async def test_a_registered_path_cannot_be_changed_to_one_outside(
    api: Api, images: Path, outside: Path, store: Store
) -> None:
    number = (await api("POST", "datasets", {"name": "pets", "root": str(images)})).json["id"]
    assert (await api("PATCH", f"datasets/{number}", {"name": "pets", "root": str(outside)})).status == 403
    assert store.datasets.get(number).root == str(images)


async def test_nobody_learns_what_exists_outside(api: Api, outside: Path, config: dict[str, Any]) -> None:
    there = await api("POST", "datasets", {"name": "x", "root": str(outside)})
    not_there = await api("POST", "datasets", {"name": "x", "root": str(outside) + "-no"})
    assert (there.status, not_there.status) == (403, 403)
    assert there.json["message"].replace(str(outside), "") == not_there.json["message"].replace(f"{outside}-no", "")


async def test_what_is_no_folder_is_refused_at_once(
    api: Api, settings: Settings, images: Path, config: dict[str, Any]
) -> None:
    pipe, file = images.parent / "pipe", images.parent / "file"
    os.mkfifo(pipe)
    file.write_text("x")
    (images.parent / "device").symlink_to("/dev/zero")
    began = time.monotonic()
    for path in (pipe, file, images.parent / "device", file / "below"):
        for method, target, body in (
            ("POST", "datasets", {"name": "x", "root": str(path)}),
            ("POST", "models", {"name": "x", "flavour": str(path)}),
            ("POST", "runs", {"config": {**config, "ckpt_dir": str(path)}}),
        ):
            if path == file / "below" and target == "runs":
                continue  # may become a folder for all that the server knows; the run says that it cannot
            assert (await api(method, target, body)).status in {400, 403}, (path, target)
        check = await api("POST", "configs/check", {"config": {**config, "root": str(path)}})
        assert [problem["field"] for problem in check.json["problems"]] == ["root"]
    assert time.monotonic() - began < 5


async def test_a_log_or_report_that_is_a_pipe_or_link_is_not_opened(
    api: Api, train: Callable[..., Training], outside: Path
) -> None:
    folder = train().folder
    (folder / "reports").mkdir()
    log, report = folder / "output.log", folder / "reports" / "epoch-0001.json"
    for make in (os.mkfifo, lambda path: Path(path).symlink_to(outside / "config.json")):
        for path, name in ((log, "log"), (report, "report")):
            make(path)
            reply = await api("GET", f"runs/{folder.name}/{name}")
            path.unlink()
            assert reply.status == 404
            assert "plain file" in reply.json["message"]


async def test_a_manifest_that_is_a_pipe_or_link_is_not_opened(
    api: Api, train: Callable[..., Training], outside: Path
) -> None:
    folder = train().folder
    for make in (os.mkfifo, lambda path: Path(path).symlink_to(outside / "config.json")):
        make(folder / "manifest.json")
        reply = await asyncio.wait_for(api("GET", f"runs/{folder.name}"), 5)
        (folder / "manifest.json").unlink()
        assert (reply.status, reply.json["manifest"]) == (200, None)


async def test_a_path_that_is_relative_is_kept_absolute(
    api: Api, settings: Settings, images: Path, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(images.parent)
    made = (await api("POST", "runs", {"config": {**config, "root": "./pets/../pets"}})).json
    assert made["root"] == str(images)


async def test_a_folder_of_a_further_root_may_be_named(
    api: Api, settings: Settings, outside: Path, config: dict[str, Any]
) -> None:
    settings.allowed_roots = [str(outside)]
    assert (await api("POST", "datasets", {"name": "x", "root": str(outside)})).status == 201


async def test_links_inside_a_data_set_lead_nowhere_else(
    api: Api, images: Path, outside: Path, config: dict[str, Any]
) -> None:
    async def facts() -> dict[str, str]:
        return dict((await api("POST", "configs/check", {"config": {**config, "root": str(images)}})).json["facts"])

    before = await facts()
    first = min((images / "train").iterdir())
    (first / "secret.png").symlink_to(outside / "train/a/1.png")
    (first / "more").symlink_to(outside / "train/a")
    (images / "train/stolen").symlink_to(outside / "train/a")
    after = await facts()
    assert (after["Classes"], after["Images"]) == (before["Classes"], before["Images"])
    assert "3 links" in after["Note"]
