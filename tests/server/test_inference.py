"""A run's model is applied to one image over REST: dropped or stored, with its Grad-CAM; no path in, and none out."""

from __future__ import annotations

import asyncio
import hashlib
import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file
from serving import Api, Reply, Training

from imgcls_lab import model_calibration
from imgcls_lab.engine.inference import predict
from imgcls_lab.schemas import Abstention, Calibration
from imgcls_lab.schemas.limits import MAX_TRIED
from imgcls_lab.server.app import ImgclsLab
from imgcls_lab.settings import Settings
from tests.engine.pets import png, train_pets


@pytest.fixture
def run(train: Callable[..., Training], settings: Settings, tmp_path: Path) -> Training:
    """A real run in the database of the server, its images under an allowed root."""
    root = Path(settings.datasets_dir) / "photos"
    config = train_pets(root, tmp_path / "trained")
    training = train(root=str(root), image_size=config.image_size, augmentation=config.augmentation)
    for name in ("checkpoints", "predictions"):
        shutil.copytree(tmp_path / "trained" / name, training.folder / name, symlinks=True)
    return training


def picture(reply: Reply) -> np.ndarray:
    assert reply.status == 200, reply.body
    assert reply.headers["Content-Type"] == "image/webp"
    return np.asarray(Image.open(io.BytesIO(reply.body)))


def id_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def test_a_model_is_applied_to_images_over_rest(
    api: Api, run: Training, train: Callable[..., Training], extension: ImgclsLab, tmp_path: Path
) -> None:
    """One process serves all of it: its start takes most of the time."""
    root, place = Path(run.run.root), f"runs/{run.run.id}"
    await a_dropped_image_gets_its_classes_and_its_map(api, run, tmp_path)
    await a_stored_image_is_seen_as_model_and_training_see_it(api, run, root / "val/cat/0.png")
    await a_data_set_is_seen_as_a_training_would_see_it(api, run, root)
    await what_changed_since_is_a_sentence(api, run, root / "val/dog/0.png")
    for image in ("x", "..%2f..%2fetc", "A" * 64, "0" * 64, "val%2fcat%2f0.png"):
        assert (await api("GET", f"{place}/images/{image}/cam")).status == 404
        assert (await api("GET", f"tried/{image}/cam")).status == 404
    assert (await api("POST", f"{place}/predict", b"")).status == 400
    assert (await api("POST", f"{place}/predict", bytes(MAX_TRIED + 1))).status == 413
    assert (await api("POST", "runs/nothing/predict", png())).status == 404
    assert (await api("POST", f"runs/{train().run.id}/predict", png())).status == 404, "it has no checkpoint"
    assert (await api("GET", f"{place}/images/{id_of(root / 'val/cat/0.png')}/input", augmented="x")).status == 400
    await each_of_many_requests_is_answered_or_told_to_wait(api, place, id_of(root / "val/cat/0.png"))
    await damaged_weights_are_a_sentence_without_a_path(api, run, root / "val/cat/0.png")
    assert extension.inference.uploads == 0

    client = extension.inference._client
    assert client is not None
    process = psutil.Process(client.pid)
    folder = Path(process.cmdline()[-2]).parent
    await extension.inference.close()
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    assert not folder.exists()


async def a_dropped_image_gets_its_classes_and_its_map(api: Api, run: Training, tmp_path: Path) -> None:
    place, best = f"runs/{run.run.id}", (run.folder / "checkpoints/best").resolve()
    answer = (await api("POST", f"{place}/predict", png(), name="../../me/holiday.png")).json
    (tmp_path / "own.png").write_bytes(png())
    (expected,) = predict.predict(best, [tmp_path / "own.png"], top=2)
    assert (answer["name"], answer["width"], answer["height"], answer["error"]) == ("holiday.png", 40, 30, None)
    assert [item["name"] for item in answer["top"]] == [item.name for item in expected.classes]
    assert [item["prob"] for item in answer["top"]] == pytest.approx([item.prob for item in expected.classes], abs=1e-5)
    tried = f"tried/{answer['image']}/cam"
    maps = [picture(await api("GET", tried, **{"class": label, "size": 128})) for label in (0, 1)]
    assert maps[0].shape == maps[1].shape == (128, 128, 3)
    assert not np.array_equal(*maps)
    held = Abstention(threshold=0.999, promised_error=0.1, coverage=0.5, error=0.0, upper_error=0.1, images=6)
    model_calibration.write(best, Calibration(abstention=held))
    again = (await api("POST", f"{place}/predict", png())).json
    assert (again["abstains"], again["threshold"]) == (True, 0.999), "a changed model is loaded anew"


async def a_data_set_is_seen_as_a_training_would_see_it(api: Api, run: Training, root: Path) -> None:
    made = await api("POST", "datasets", {"name": "photos", "root": str(root)})
    await api(
        "DELETE", f"datasets/{made.json['id']}/audit"
    )  # a queued run less: the next one that starts is a training
    place = f"datasets/{made.json['id']}/versions"
    given = run.store.runs.get(run.run.id).config
    body = {"config": {**given, "augmentation": "standard"}, "number": 0, "seed": 0, "size": 32}
    sheet = picture(await api("POST", place, body))
    assert sheet.shape[:2] == (3 * 32 + 2 * 4, 3 * 32 + 2 * 4)
    versions = [sheet[top : top + 32, left : left + 32, :3] for top in (0, 36, 72) for left in (0, 36, 72)]
    assert len({version.tobytes() for version in versions}) == 9  # nine epochs, nine versions
    assert not np.array_equal(sheet, picture(await api("POST", place, {**body, "seed": 1})))
    plain = picture(await api("POST", place, {**body, "config": {**given, "augmentation": "none", "hflip": False}}))
    assert np.array_equal(plain[:32, :32], plain[36:68, :32])  # without augmentation they are all alike
    for wrong in ({"size": 10**6}, {"number": -1}, {"config": {**given, "plugins": ["x.py"]}}, {"config": {"lr": -1}}):
        assert (await api("POST", place, {**body, **wrong})).status in (400, 403)
    assert (await api("POST", "datasets/999/versions", body)).status == 404


async def a_stored_image_is_seen_as_model_and_training_see_it(api: Api, run: Training, path: Path) -> None:
    place = f"runs/{run.run.id}/images/{id_of(path)}"
    seen = picture(await api("GET", f"{place}/input"))
    reader = predict.Reader(predict.load(run.folder / "checkpoints/best").spec)
    assert np.array_equal(seen, reader.read(str(path))[0].numpy())
    shown = [(await api("GET", f"{place}/input", augmented=1, seed=seed)).body for seed in (0, 0, 1)]
    assert shown[0] == shown[1] != shown[2]
    assert picture(await api("GET", f"{place}/cam", size=32)).shape == (32, 32, 3)
    assert picture(await api("GET", f"{place}/cam", size=10**6)).shape == (1024, 1024, 3)
    for label in (2, -1, 10**9):
        assert (await api("GET", f"{place}/cam", **{"class": label})).status == 404
    of_train = id_of(path.parents[2] / "train/dog/1.png")
    place = f"runs/{run.run.id}/images/{of_train}"
    assert picture(await api("GET", f"{place}/input", augmented=1)).shape == (64, 64, 3)


async def what_changed_since_is_a_sentence(api: Api, run: Training, path: Path) -> None:
    place = f"runs/{run.run.id}/images/{id_of(path)}/cam"
    path.write_bytes(png())
    replies = [await api("GET", place)]
    path.unlink()
    replies.append(await api("GET", place))
    path.symlink_to("/etc/passwd")
    replies.append(await api("GET", place))
    assert [reply.status for reply in replies] == [409, 404, 400]
    for reply in replies:
        assert run.run.root not in reply.json["message"]
        assert "val/dog/0.png" in reply.json["message"]


async def damaged_weights_are_a_sentence_without_a_path(api: Api, run: Training, path: Path) -> None:
    place, weights = f"runs/{run.run.id}", (run.folder / "checkpoints/best").resolve() / "model.safetensors"
    whole = weights.read_bytes()
    not_finite = {name: np.full_like(value, np.nan) for name, value in load_file(weights).items() if value.ndim}
    calls = [("POST", f"{place}/predict", png()), ("GET", f"{place}/images/{id_of(path)}/cam", None)]
    for damage in (lambda: save_file(not_finite, weights), lambda: weights.write_bytes(b"damaged"), weights.unlink):
        damage()
        for call in calls:
            reply = await api(*call)
            assert reply.status == 400, reply.body
            assert str(run.folder.parent) not in reply.json["message"], "no answer tells where a run's folder lies"
    weights.write_bytes(whole)


async def each_of_many_requests_is_answered_or_told_to_wait(api: Api, place: str, image: str) -> None:
    asked = [api("GET", f"{place}/images/{image}/cam", size=64) for _ in range(30)]
    asked += [api("POST", f"{place}/predict", png()) for _ in range(15)]
    statuses = [reply.status for reply in await asyncio.gather(*asked)]
    print(f"\n45 at once: {statuses.count(200)} answered, {statuses.count(503)} told to wait")
    assert set(statuses) == {200, 503}
    assert statuses.count(200) >= 5
    assert (await api("POST", f"{place}/predict", png())).status == 200
