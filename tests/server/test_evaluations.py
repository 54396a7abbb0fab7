"""What runs' predictions say, over REST: the made run `best` and what else a page asks for."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from serving import Api, Training

from tests.analysis.made import MadeRun, image_id, made, names_of

CLASSES = ["cat", "dog", "eel"]


@pytest.fixture
def evaluated(train: Callable[..., Training]) -> Training:
    """A run with two epochs on val/ and one evaluation on test/."""
    training = train()
    run = MadeRun(training.folder, CLASSES)
    run.write(*made(40, 3, sure=1), epoch=1).write(*made(40, 3), epoch=2, all_probs=True)
    run.write(*made(5, 3), epoch=None)
    run.write_train(1, [0, 1, 2], [0.5, 0.6, 0.7])
    return training


async def test_a_page_gets_the_evaluation_its_images_and_curves(api: Api, evaluated: Training) -> None:
    path = f"runs/{evaluated.run.id}"
    view = (await api("GET", f"{path}/evaluation")).json
    assert (view["epoch"], view["epochs"], view["images"], view["has_test"]) == (2, [1, 2], 40, True)
    assert view["has_train"] is True
    cell = view["cells"][0]
    images = (await api("GET", f"{path}/images", label=cell["label"], predicted=cell["predicted"], limit=3)).json
    assert images["total"] == cell["images"]
    assert all(item["label"] == cell["label"] for item in images["items"])
    curves = (await api("GET", f"{path}/curves", label="dog")).json
    assert curves["images"] == next(row["images"] for row in view["classes"] if row["name"] == "dog")
    assert (await api("GET", f"{path}/evaluation", epoch=1)).json["epoch"] == 1
    assert (await api("GET", f"{path}/evaluation", split="test")).json["images"] == 5
    assert (await api("GET", f"{path}/images", split="train")).json["total"] == 3


async def test_one_image_tells_its_epochs(api: Api, evaluated: Training) -> None:
    name = names_of(40)[7]
    detail = (await api("GET", f"runs/{evaluated.run.id}/images/{image_id(name)}")).json
    assert detail["image"]["name"] == name
    assert [epoch["epoch"] for epoch in detail["biography"]] == [1, 2]
    assert len(detail["top"]) == 3
    assert str(evaluated.folder) not in json.dumps(detail)


async def test_two_runs_are_compared(api: Api, evaluated: Training, train: Callable[..., Training]) -> None:
    other = train()
    MadeRun(other.folder, CLASSES).write(*made(40, 3, sure=0.5), epoch=1)
    path = f"runs/{evaluated.run.id}/flips"
    assert (await api("GET", path)).status == 400  # it has no parent
    flips = (await api("GET", path, against=other.run.id)).json
    assert (flips["images"], flips["against_name"]) == (40, other.run.name)


async def test_what_is_not_kept_or_makes_no_sense_is_a_sentence(
    api: Api, evaluated: Training, train: Callable[..., Training]
) -> None:
    path, empty = f"runs/{evaluated.run.id}", f"runs/{train().run.id}"
    for status, place, query in (
        (404, f"{empty}/evaluation", {}), (404, f"{empty}/images", {}), (404, f"{empty}/images", {"split": "train"}),
        (404, f"{path}/evaluation", {"epoch": 9}), (404, f"{path}/evaluation", {"epoch": 2**40}),
        (400, f"{path}/evaluation", {"split": "train"}), (400, f"{path}/evaluation", {"split": "test", "epoch": 1}),
        (400, f"{path}/images", {"limit": 10**6}), (400, f"{path}/images", {"low": "nan"}),
        (400, f"{path}/images", {"sort": "path"}), (400, f"{path}/images", {"label": "unicorn"}),
        (400, f"{path}/images", {"offset": -1}), (400, f"{path}/curves", {}), (400, f"{path}/curves", {"label": "x"}),
        (404, f"{path}/images/{'0' * 64}", {}), (404, f"{path}/images/..%2fetc", {}), (404, f"{path}/images/A", {}),
        (404, f"{path}/flips", {"against": "../x"}), (404, f"{path}/flips", {"against": "20260101-000000-abcdef"}),
        (404, "runs/20260101-000000-abcdef/evaluation", {}),
    ):  # fmt: skip
        reply = await api("GET", place, **query)  # type: ignore[arg-type]
        assert (reply.status, reply.json["message"][-1]) == (status, "."), (place, query, reply.json)
        assert "/" + str(evaluated.folder).strip("/") not in reply.json["message"]


async def test_a_damaged_file_is_a_sentence_without_a_path(api: Api, evaluated: Training) -> None:
    (evaluated.folder / "predictions/epoch-0002.npz").write_bytes(b"damaged")
    reply = await api("GET", f"runs/{evaluated.run.id}/images")
    assert reply.status == 400
    assert str(evaluated.folder) not in reply.json["message"]
