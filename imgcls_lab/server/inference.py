"""Routes that apply a run's model to one image: trying it on a dropped image, Grad-CAM, what the model sees.

The work is done by the inference process (`inference_client.py`); the server imports no torch and decodes no image. A
picture is answered as WebP. No request names a path, and no answer does.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from typing import Any

from tornado import web

from imgcls_lab.data_files import open_image
from imgcls_lab.errors import BusyError, DataError, InputError, NotFoundError
from imgcls_lab.framed_messages import Message
from imgcls_lab.imagefolder import inspect_folder
from imgcls_lab.inference_client import GivenUpError, InferenceClient
from imgcls_lab.schemas import InferenceView, TriedImage, VersionsRequest
from imgcls_lab.schemas.limits import MAX_NAME, MAX_TRIED
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.config_check import checked
from imgcls_lab.server.handlers import ApiHandler, image_id_of, number_of, run_id_of
from imgcls_lab.server.paths import allowed_folder
from imgcls_lab.server.permissions import Route, permitted, route
from imgcls_lab.server.thumbnails import find_in_run
from imgcls_lab.store import Store
from imgcls_lab.store.registry import Datasets

MAX_UPLOADS = 4  # images that may arrive at once: each takes its size in memory
MOST_UNREADABLE = 8  # images that are tried, one after the other, until one can be shown
MAX_CLASS, MAX_SIZE, MAX_SEED = 10**6, 1024, 10**6


class InferenceService:
    """The inference process of this server, started by the first request that needs it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._client: InferenceClient | None = None
        self._making = threading.Lock()
        self.uploads = 0  # that arrive or are answered now

    async def ask(self, question: Callable[[Store, InferenceClient], Message]) -> Message:
        """What `question` returns, run in the thread that asks the process. Raises BusyError, ImgclsError."""
        return await self._backend.run(lambda: question(self._backend.store(), self._get()), "inference")

    def standing(self) -> InferenceView:
        """What the process does now."""
        return InferenceView(phase="idle", seconds=0.0) if self._client is None else self._client.standing()

    def _get(self) -> InferenceClient:
        with self._making:
            if self._client is None:
                self._client = InferenceClient(self._backend.settings)
            return self._client

    async def close(self) -> None:
        """End the process."""
        if self._client is not None:
            await self._backend.run(self._client.close, "board")


class InferenceHandler(ApiHandler):
    """Base of these routes."""

    def initialize(self, backend: Backend, inference: InferenceService) -> None:  # type: ignore[override]
        super().initialize(backend)
        self.inference = inference

    def picture_fields(self) -> dict[str, Any]:
        """Class and size that a request names, for the process."""
        label, size = self.optional_whole("class"), self.optional_whole("size")
        if label is not None and not 0 <= label <= MAX_CLASS:
            raise NotFoundError(f"There is no class {label}.", reason="no_class")
        return {"class": label, "size": None if size is None else min(max(size, 16), MAX_SIZE)}

    def reply_picture(self, picture: bytes) -> None:
        self.set_header("Cache-Control", "private, max-age=60")  # another checkpoint may become the best
        self.finish(picture, set_content_type="image/webp")


class PredictHandler(InferenceHandler):
    """The classes of an image that comes as the request's body."""

    max_bytes = MAX_TRIED
    _counted = False
    _gone = False

    async def prepare(self) -> None:  # type: ignore[override]
        await super().prepare()
        if self.inference.uploads >= MAX_UPLOADS:
            raise BusyError(f"{MAX_UPLOADS} images are tried already. Try again in some seconds.", reason="busy")
        self.inference.uploads += 1
        self._counted = True

    def on_finish(self) -> None:
        if self._counted:
            self._counted = False
            self.inference.uploads -= 1
        super().on_finish()

    def on_connection_close(self) -> None:
        """The client has gone: before its image had come whole, or since it wants no answer any more."""
        self._gone = True
        if self._counted and not self.request._body_future.done():
            self.on_finish()
        super().on_connection_close()

    @permitted
    async def post(self, text: str) -> None:
        run_id, data = run_id_of(text), self.raw_body
        name = self.get_query_argument("name", "").split("/")[-1][:MAX_NAME] or "image"
        if not data:
            raise InputError("The request has no image in its body.", reason="no_body")

        def question(store: Store, client: InferenceClient) -> Message:
            model = store.run_models.best(run_id)
            header = {"do": "predict", "model": str(model.folder), "name": name}
            return client.ask(Message(header, data), lambda: self._gone)

        try:
            answer = await self.inference.ask(question)
        except GivenUpError:
            raise web.HTTPError(499) from None
        self.reply(TriedImage.model_validate(answer.header).model_dump_json().encode())


class StandingHandler(InferenceHandler):
    """What the process does now: it may be starting, or loading a model."""

    @permitted
    async def get(self) -> None:
        self.reply(self.inference.standing().model_dump_json().encode())


class StoredImageHandler(InferenceHandler):
    """Base of the pictures of an image that a run saw."""

    async def answer_picture(self, text: str, image: str, header: dict[str, Any]) -> None:
        run_id, image_id = run_id_of(text), image_id_of(image)

        def question(store: Store, client: InferenceClient) -> Message:
            model, found = store.run_models.best(run_id), find_in_run(store, run_id, image_id)
            facts = {
                "model": str(model.folder),
                "name": found.path,
                "digest": image_id,
                "number": model.training_number(image_id),
                "config": json.dumps(model.config),
            }
            with open_image(found.root, found.path) as file:
                return client.ask(Message({**facts, **header}, file=file.fileno()))

        self.reply_picture((await self.inference.ask(question)).body)


class CamHandler(StoredImageHandler):
    """The Grad-CAM of an image for a class, by default the likeliest."""

    @permitted
    async def get(self, text: str, image: str) -> None:
        await self.answer_picture(text, image, {"do": "cam", **self.picture_fields()})


class InputHandler(StoredImageHandler):
    """What the model sees of an image, or what a training step saw of it in an epoch (seed, from 0)."""

    @permitted
    async def get(self, text: str, image: str) -> None:
        augmented = self.choice("augmented", ("0", "1"), "0") == "1"
        header = {"augmented": augmented, "seed": self.whole("seed", 0, high=MAX_SEED)}
        await self.answer_picture(text, image, {"do": "input", **header, **self.picture_fields()})


class VersionsHandler(InferenceHandler):
    """An image of a data set as the training of a config would see it in nine epochs: the code that trains."""

    @permitted
    async def post(self, text: str) -> None:
        number, request = number_of(text, Datasets.noun), self.body(VersionsRequest)
        settings = self.backend.settings

        def question(store: Store, client: InferenceClient) -> Message:
            root = allowed_folder(settings, store.datasets.get(number).root, "root")  # as at a submit
            config = checked(settings, {**request.config, "root": root})
            if config.plugins:
                raise InputError("Plugins are executed by a run alone, so this is not drawn.", reason="plugins")
            sample = inspect_folder(root).sample
            if not sample:
                raise NotFoundError("The data set has no image to show.", reason="no_image")
            first = request.number % len(sample)
            header = {"do": "versions", "seed": request.seed, "size": request.size, "config": config.model_dump_json()}
            return _first_readable(client, header, root, [*sample[first:], *sample[:first]][:MOST_UNREADABLE])

        self.reply_picture((await self.inference.ask(question)).body)


def _first_readable(client: InferenceClient, header: dict[str, Any], root: str, files: list[str]) -> Message:
    """The answer on the first of some images that can be read. Raises DataError where none can."""
    for path in files:
        name = os.path.relpath(path, root)
        try:
            with open_image(root, name) as file:
                return client.ask(Message({**header, "name": name}, file=file.fileno()))
        except DataError:
            if path == files[-1]:
                raise
    raise AssertionError


class TriedCamHandler(InferenceHandler):
    """The Grad-CAM of a dropped image, as long as the process keeps it."""

    @permitted
    async def get(self, image: str) -> None:
        header = {"do": "tried", "image": image_id_of(image), **self.picture_fields()}
        answer = await self.inference.ask(lambda _store, client: client.ask(Message(header)))
        self.reply_picture(answer.body)


def routes(backend: Backend, inference: InferenceService) -> list[Route]:
    context = {"backend": backend, "inference": inference}
    return [
        route("api/inference", StandingHandler, **context),
        route("api/runs/ID/predict", PredictHandler, **context),
        route("api/runs/ID/images/ID/cam", CamHandler, **context),
        route("api/runs/ID/images/ID/input", InputHandler, **context),
        route("api/tried/ID/cam", TriedCamHandler, **context),
        route("api/datasets/ID/versions", VersionsHandler, **context),
    ]
