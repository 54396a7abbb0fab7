"""A folder is chosen, not typed: from the allowed roots, by ids that the server gave."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from serving import Api

from imgcls_lab.server import folder_browser
from imgcls_lab.settings import Settings


async def below(api: Api, page: dict[str, Any], name: str) -> dict[str, Any]:
    (entry,) = [folder for folder in page["folders"] if folder["name"].endswith(name)]
    return (await api("GET", "folders", id=entry["id"])).json


async def test_a_data_set_is_found_from_the_roots_and_registered(api: Api, images: Path, settings: Settings) -> None:
    roots = (await api("GET", "folders")).json
    datasets = await below(api, roots, Path(settings.datasets_dir).name)
    (pets,) = [entry for entry in datasets["folders"] if entry["name"] == "pets"]
    assert (pets["usable"], pets["folders"], pets["images"]) == (True, 2, 0)
    page = await below(api, datasets, "pets")
    assert page["problem"] is None
    assert [step["name"] for step in page["trail"]][-1] == "pets"
    assert (page["registered"], pets["registered"]) == (None, None)
    made = await api("POST", "datasets", {"name": "my pets", "root": page["root"]})
    assert made.status == 201
    (pets,) = [
        entry
        for entry in (await below(api, roots, Path(settings.datasets_dir).name))["folders"]
        if entry["name"] == "pets"
    ]
    again = await below(api, datasets, "pets")
    assert again["registered"] == pets["registered"] == {"id": made.json["id"], "name": "my pets"}
    train = await below(api, page, "train")
    assert "folder above it" in train["problem"]


async def test_nothing_outside_the_roots_is_shown(api: Api, images: Path, settings: Settings, tmp_path: Path) -> None:
    secret = tmp_path / "private" / "train"
    secret.mkdir(parents=True)
    Path(settings.datasets_dir, "link").symlink_to(secret.parent)
    Path(settings.datasets_dir, ".hidden").mkdir()
    roots = (await api("GET", "folders")).json
    datasets = await below(api, roots, Path(settings.datasets_dir).name)
    assert [entry["name"] for entry in datasets["folders"]] == ["pets"]
    (pets,) = datasets["folders"]
    images.rename(tmp_path / "moved")
    images.symlink_to(secret.parent)
    assert (await api("GET", "folders", id=pets["id"])).status == 404


async def test_an_id_that_the_server_did_not_give_names_no_folder(api: Api, images: Path) -> None:
    given = (await api("GET", "folders")).json["folders"][0]["id"]
    for forged in (given[:-4] + "AAAA", given[4:], "Li4vLi4=", "/etc", "..", "ü", "A" * 3000, given * 3):
        assert (await api("GET", "folders", id=forged)).status == 404, forged


async def test_a_root_that_goes_makes_no_id_name_a_folder_of_another(
    api: Api, images: Path, settings: Settings, tmp_path: Path
) -> None:
    more = tmp_path / "more"
    (more / "pets/train/cat").mkdir(parents=True)
    settings.allowed_roots = [str(more)]
    first, second = (await api("GET", "folders")).json["folders"]
    (pets,) = (await api("GET", "folders", id=first["id"])).json["folders"]
    images.parent.rename(tmp_path / "gone")
    assert [entry["id"] for entry in (await api("GET", "folders")).json["folders"]] == [second["id"]]
    assert (await api("GET", "folders", id=pets["id"])).status == 404


async def test_a_slow_disk_gives_a_page_in_time(api: Api, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = threading.Event()
    monkeypatch.setattr(folder_browser, "SECONDS", 0.1)
    monkeypatch.setattr(folder_browser, "inspect_folder", lambda _: waits.wait(10))
    root = (await api("GET", "folders")).json["folders"][0]
    page = (await api("GET", "folders", id=root["id"])).json
    waits.set()
    assert (page["problem"], len(page["notes"]), page["folders"][0]["name"]) == (None, 1, "pets")


async def test_many_folders_are_listed_in_part(api: Api, settings: Settings) -> None:
    for number in range(510):
        Path(settings.datasets_dir, f"folder{number:03d}").mkdir(parents=True)
    roots = (await api("GET", "folders")).json
    page = await below(api, roots, Path(settings.datasets_dir).name)
    assert (len(page["folders"]), page["more"]) == (500, 10)


async def test_a_folder_of_the_file_browser_is_looked_at_if_it_lies_below_a_root(
    api: Api, jp_serverapp: Any, images: Path
) -> None:
    top = Path(jp_serverapp.root_dir)
    (top / "mine").symlink_to(images)
    (top / "outside" / "train" / "cat").mkdir(parents=True)
    (images / ".hidden").mkdir()
    page = (await api("GET", "folders/at?path=mine")).json
    assert (page["root"], page["problem"], page["trail"][-1]["name"]) == (str(images), None, "pets")
    assert (await api("GET", "folders", id=page["id"])).json == page
    for path in ("outside", "gone", "../..", "/etc", "", "mine/../../.."):
        assert (await api("GET", f"folders/at?path={path}")).status == 403, path
    for path in ("mine/gone", "mine/.hidden"):
        assert (await api("GET", f"folders/at?path={path}")).status == 404, path
