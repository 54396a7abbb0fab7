"""Pictures by id: each shows what its data set or run holds, and nothing else; no path goes in or comes out."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from serving import Api, Reply, Training

from imgcls_lab import image_table
from imgcls_lab.schemas import DatasetEdit
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store

COLOURS = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255)}


def photo(path: Path, colour: str, size: tuple[int, int] = (300, 200)) -> str:
    """An image of one colour; returns its id."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, COLOURS[colour]).save(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def scanned(settings: Settings, root: Path, digests: dict[str, str] | None = None) -> None:
    """Write the table of a data set, as a scan does. digests: of files that are no images."""
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    rows = np.zeros(len(paths), image_table.ROW)
    for row, path in zip(rows, paths, strict=True):
        status = path.stat()
        name = str(path.relative_to(root))
        digest = (digests or {}).get(name) or hashlib.sha256(path.read_bytes()).hexdigest()
        row["digest"] = np.frombuffer(bytes.fromhex(digest), np.uint8)
        row["size"], row["changed"] = status.st_size, status.st_mtime_ns
    names = np.array([os.fsencode(path.relative_to(root)) for path in paths])
    image_table.write(image_table.table_path(settings.scans_dir, root), root, ["cat"], rows, names, problems={})


@pytest.fixture
def dataset(store: Store, settings: Settings) -> dict[str, Any]:
    """A registered, scanned data set. ids: by name of the file."""
    root = Path(settings.datasets_dir) / "pets"
    ids = {name: photo(root / f"train/cat/{name}.png", name) for name in ("red", "green")}
    photo(root / "train/dog/blue.png", "blue")
    scanned(settings, root)
    return {"id": store.datasets.add(DatasetEdit(name="pets", root=str(root))).id, "root": root, "ids": ids}


async def picture(api: Api, dataset: dict[str, Any], image: str, **query: Any) -> Reply:
    return await api("GET", f"datasets/{dataset['id']}/images/{image}/thumbnail", **query)


def colour_of(reply: Reply) -> tuple[int, ...]:
    assert reply.status == 200, reply.body
    with Image.open(io.BytesIO(reply.body)) as image:
        assert image.format == "WEBP"
        return image.convert("RGB").getpixel((image.width // 2, image.height // 2))


async def test_a_picture_has_the_size_and_the_colours_of_its_image(api: Api, dataset: dict[str, Any]) -> None:
    reply = await picture(api, dataset, dataset["ids"]["red"], size=128)
    with Image.open(io.BytesIO(reply.body)) as image:
        assert image.size == (128, 85)
    assert np.abs(np.subtract(colour_of(reply), COLOURS["red"])).max() < 12
    assert reply.headers["Cache-Control"].startswith("private")
    assert reply.headers["Content-Type"] == "image/webp"
    again = await api(
        "GET", f"datasets/{dataset['id']}/images/{dataset['ids']['red']}/thumbnail?size=128",
        headers={**api.headers, "If-None-Match": reply.headers["ETag"]},
    )  # fmt: skip
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "image",
    ["0" * 64, "F" * 64, "a" * 63, "..%2f..%2fetc%2fpasswd", "%00" + "a" * 61, "a" * 5000, "train%2fcat%2fred.png"],
)
async def test_no_other_name_is_taken_for_an_id(api: Api, dataset: dict[str, Any], image: str) -> None:
    assert (await picture(api, dataset, image)).status in (404, 414)


@pytest.mark.parametrize("size", ["0", "1", "-1", "100000", "1e3", "nan", "128px"])
async def test_only_some_sizes_are_made(api: Api, dataset: dict[str, Any], size: str) -> None:
    assert (await picture(api, dataset, dataset["ids"]["red"], size=size)).status == 400


async def test_an_id_of_another_data_set_shows_nothing(api: Api, settings: Settings, dataset: dict[str, Any]) -> None:
    other = Path(settings.datasets_dir) / "other"
    hidden = photo(other / "train/cat/hidden.png", "blue", (77, 55))
    photo(other / "train/dog/x.png", "red", (78, 55))
    scanned(settings, other)
    assert (await picture(api, dataset, hidden)).status == 404
    Path(settings.cache_path, "thumbnails", hidden[:2]).mkdir(parents=True)
    Path(settings.cache_path, "thumbnails", hidden[:2], f"{hidden}-128.webp").write_bytes(b"made for another")
    assert (await picture(api, dataset, hidden, size=128)).status == 404


async def test_what_changed_since_the_scan_is_told_and_never_shown(api: Api, dataset: dict[str, Any]) -> None:
    path = dataset["root"] / "train/cat/red.png"
    assert (await picture(api, dataset, dataset["ids"]["red"], size=64)).status == 200
    photo(path, "blue")
    reply = await picture(api, dataset, dataset["ids"]["red"], size=64)
    assert reply.status == 409
    path.unlink()
    gone = await picture(api, dataset, dataset["ids"]["red"], size=64)
    assert gone.status == 404
    assert all(str(dataset["root"]) not in found.body.decode() for found in (reply, gone))


async def test_a_link_that_was_swapped_in_leads_nowhere(
    api: Api, settings: Settings, tmp_path: Path, dataset: dict[str, Any]
) -> None:
    secret = tmp_path / "outside" / "train" / "cat" / "red.png"
    image = photo(secret, "red")  # the same content, so that its id is known
    path = dataset["root"] / "train/cat/red.png"
    path.unlink()
    path.symlink_to(secret)
    assert image == dataset["ids"]["red"]
    assert (await picture(api, dataset, image)).status in (400, 404)
    path.unlink()
    os.rename(dataset["root"] / "train", dataset["root"] / "was")
    (dataset["root"] / "train").symlink_to(tmp_path / "outside" / "train")
    assert (await picture(api, dataset, image)).status in (400, 404)


async def test_files_that_are_no_pictures_are_sentences_and_the_server_lives(
    api: Api, settings: Settings, dataset: dict[str, Any]
) -> None:
    folder = dataset["root"] / "train/cat"
    whole = (folder / "red.png").read_bytes()
    contents = {
        "bomb.png": png_header(40_000, 40_000),
        "cut.png": whole[: len(whole) // 2],
        "page.jpg": b"<html>",
        "empty.png": b"",
        "drawing.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "noise.jpg": b"\xff\xd8\xff" + os.urandom(5000),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    scanned(settings, dataset["root"])
    for name, content in contents.items():
        reply = await picture(api, dataset, hashlib.sha256(content).hexdigest())
        assert reply.status == 400, (name, reply.body[:200])
        assert str(dataset["root"]) not in reply.json["message"]
    assert (await picture(api, dataset, dataset["ids"]["red"])).status == 200


async def test_a_pipe_a_device_or_another_file_in_its_place_is_never_shown(
    api: Api, tmp_path: Path, dataset: dict[str, Any]
) -> None:
    path, secret = dataset["root"] / "train/cat/red.png", tmp_path / "secret.png"
    photo(secret, "blue")
    places: dict[str, tuple[Callable[[], None], int]] = {
        "pipe": (lambda: os.mkfifo(path), 400),
        "device": (lambda: path.symlink_to("/dev/zero"), 400),
        "folder": (path.mkdir, 400),
        "hard link": (lambda: os.link(secret, path), 409),
    }
    for name, (put, status) in places.items():
        path.rmdir() if path.is_dir() else path.unlink()
        put()
        reply = await picture(api, dataset, dataset["ids"]["red"])
        assert reply.status == status, (name, reply.body[:200])
        assert str(tmp_path) not in reply.body.decode()


async def test_an_image_of_40_000_pixels_is_shown_while_it_has_not_too_many(
    api: Api, settings: Settings, dataset: dict[str, Any]
) -> None:
    image = photo(dataset["root"] / "train/cat/wide.png", "green", (40_000, 20))
    scanned(settings, dataset["root"])
    reply = await picture(api, dataset, image, size=128)
    with Image.open(io.BytesIO(reply.body)) as shown:
        assert shown.size == (128, 1)


async def test_a_damaged_list_of_a_runs_images_hides_no_other_and_names_no_folder(
    api: Api, settings: Settings, images: Path, train: Callable[..., Training]
) -> None:
    training = train()
    seen = images / "train/cat/0.png"
    image = hashlib.sha256(seen.read_bytes()).hexdigest()
    (training.folder / "predictions").mkdir()
    (training.folder / "predictions/val-images.npz").write_bytes(b"damaged")
    asked = f"runs/{training.run.id}/images/{image}/thumbnail"
    refused = await api("GET", asked)
    assert refused.status == 404
    assert str(training.folder) not in refused.body.decode()
    np.savez_compressed(
        training.folder / "predictions/train-images.npz",
        root=np.asarray(b"/elsewhere"),
        paths=np.asarray([b"gone/%d.png" % number for number in range(99)] + [os.fsencode(seen.relative_to(images))]),
        classes=np.asarray([b"cat", b"dog"]),
        digests=np.tile(np.frombuffer(bytes.fromhex(image), np.uint8), (100, 1)),
    )
    assert (await api("GET", asked)).status == 404  # so many files of one content are not looked at
    scanned(settings, images)
    assert (await api("GET", asked)).status == 200  # the table knows where it lies now


async def test_a_root_that_is_no_longer_allowed_shows_nothing(
    api: Api, settings: Settings, tmp_path: Path, dataset: dict[str, Any]
) -> None:
    moved = tmp_path / "private"
    assert (await picture(api, dataset, dataset["ids"]["red"])).status == 200  # the root is known for a moment
    os.rename(dataset["root"], moved)
    dataset["root"].symlink_to(moved)
    reply = await picture(api, dataset, dataset["ids"]["red"])
    assert reply.status == 403
    assert str(moved) not in reply.body.decode()


async def test_a_run_shows_the_images_that_it_saw_and_no_others(
    api: Api, settings: Settings, images: Path, train: Callable[..., Training]
) -> None:
    training = train()
    seen = images / "val/cat/0.png"
    image = hashlib.sha256(seen.read_bytes()).hexdigest()
    (training.folder / "predictions").mkdir()
    np.savez_compressed(
        training.folder / "predictions/val-images.npz",
        root=np.asarray(b"/elsewhere"),  # what a folder says of its data set counts for nothing
        paths=np.asarray([os.fsencode(seen.relative_to(images))]),
        classes=np.asarray([b"cat", b"dog"]),
        digests=np.frombuffer(bytes.fromhex(image), np.uint8).reshape(1, 32),
    )
    path = f"runs/{training.run.id}/images"
    assert (await api("GET", f"{path}/{image}/thumbnail", size=64)).status == 200
    unseen = hashlib.sha256((images / "val/dog/1.png").read_bytes()).hexdigest()
    assert (await api("GET", f"{path}/{unseen}/thumbnail")).status == 404
    seen.write_bytes((images / "val/dog/1.png").read_bytes())
    assert (await api("GET", f"{path}/{image}/thumbnail", size=64)).status == 409


async def test_nobody_sees_a_picture_without_logging_in(api: Api, dataset: dict[str, Any]) -> None:
    path = f"datasets/{dataset['id']}/images/{dataset['ids']['red']}/thumbnail"
    assert (await api("GET", path, headers={})).status in (302, 403)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


async def test_corrections_do_not_tell_what_lies_outside_the_allowed_folders(
    api: Api, store: Store, tmp_path_factory: pytest.TempPathFactory, dataset: dict[str, Any]
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    image = photo(outside / "train/cat/secret.png", "red")
    photo(outside / "train/dog/x.png", "blue")
    number = store.datasets.add(DatasetEdit(name="outside", root=str(outside))).id
    for digest in (image, "1" * 64):
        edit = {"changes": [{"image": digest, "label": "dog"}]}
        assert (await api("POST", f"datasets/{number}/revisions", edit)).status == 403
    assert (await api("GET", f"datasets/{number}/revisions/1")).status == 403
    assert (await api("POST", f"datasets/{dataset['id']}/revisions", edit)).status == 400
