"""The inference process: `python -m imgcls_lab.engine.inference.serve SOCKET IDLE_SECONDS`.

Started by `inference_client.py` alone. It keeps one model and some dropped images in memory, answers one request at a
time on a private unix socket, on the CPU, and ends without requests or when its parent has ended. A model's folder is
data: it is loaded as `predict` loads it. It writes no file and opens no path but the folder of a model.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import secrets
import signal
import socket
import sys
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from imgcls_lab import private_sockets
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.data.image_set import Reader
from imgcls_lab.engine.inference import pictures
from imgcls_lab.engine.inference.grad_cam import grad_cam
from imgcls_lab.engine.inference.predict import Classifier, abstains, check_finite, load
from imgcls_lab.engine.model.classifier import read_flavour
from imgcls_lab.engine.transforms.augment import normalise
from imgcls_lab.errors import DataError, ImgclsError, InferenceError, InputError, NotFoundError, UnsafeFolderError
from imgcls_lab.framed_messages import Message, receive, send
from imgcls_lab.images import decode_sized
from imgcls_lab.schemas import ClassProb, InferencePhase, TriedImage
from imgcls_lab.schemas.limits import MAX_TRIED

WATCH_SECONDS = 1.0
READ_SECONDS = 10.0  # within which a request must have come
MEMORY = 12 * 2**30  # bytes of private memory; a model or image that needs more is refused with a sentence
KEPT_BYTES, KEPT_IMAGES = 64 * 2**20, 32  # of dropped images
MAX_FILE = 64 * 2**20  # bytes of a stored image
TOP = 5
VERSIONS = 9  # of an image, on one picture
Report = Callable[[InferencePhase], None]


@dataclass(frozen=True)
class Tried:
    """A dropped image, and the folder of the model that was asked about it."""

    model: str
    name: str
    data: bytes


class Inference:
    """What is kept between requests: one model, and the newest dropped images."""

    def __init__(self) -> None:
        self._loaded: tuple[str, Classifier] | None = None  # by its folder and the times of its files
        self._place = ""  # of the folder of the model that was asked for last
        self._tried: OrderedDict[str, Tried] = OrderedDict()
        self._report: Report = lambda _phase: None
        self._work: dict[str, Callable[[dict[str, Any], bytes], Message]] = {
            "predict": self._predict,
            "cam": self._cam,
            "tried": self._tried_cam,
            "input": self._input,
            "versions": self._versions,
        }

    def answer(self, request: Message, report: Report = lambda _phase: None) -> Message:
        """The reply to a request; what is wrong with it becomes a header with `refusal`, its class and a reason.

        report: gets the phase while a model is loaded, and when it is.
        """
        self._report = report
        try:
            work = self._work.get(str(request.header.get("do")))
            if work is None:
                raise InputError(f"The inference process cannot do “{str(request.header.get('do'))[:40]}”.")
            return work(request.header, request.body if request.file < 0 else _read(request.file, request.header))
        except ImgclsError as error:
            return self._refusal(error)
        except Exception as error:  # whatever a model does; torch's own allocator raises no MemoryError
            traceback.print_exc()
            if isinstance(error, MemoryError) or "alloc" in str(error):
                text = "This image and this model need more memory than the inference process may take."
                return self._refusal(InferenceError(text, reason="memory"))
            text = f"The model cannot be applied to this image ({type(error).__name__}: {error})."
            return self._refusal(InferenceError(text, reason="failed"))

    def _refusal(self, error: ImgclsError) -> Message:
        """What was wrong. Messages name a model by its folder, and no answer tells where this lies."""
        text = str(error).replace(self._place, "") if self._place else str(error)
        return Message({"refusal": text, "kind": type(error).__name__, "reason": error.reason})

    # ── the requests ────────────────────────────────────────────────────────────────────────────────────────────
    def _predict(self, header: dict[str, Any], data: bytes) -> Message:
        """The likeliest classes of a dropped image, which is kept for its Grad-CAM."""
        started = time.monotonic()
        loaded, name = self._model(header["model"]), str(header["name"])
        try:
            _image, (width, height) = decode_sized(data, name=name, size_hint=64)
            values = normalise(Reader(loaded.spec).read(data, name)[0][None], loaded.spec)
        except DataError as error:
            reply = TriedImage(
                name=name, top=[], abstains=False, threshold=loaded.threshold, width=0, height=0, seconds=0.0,
                error=str(error),
            )  # fmt: skip
            return Message(reply.model_dump(mode="json"))
        with torch.no_grad():
            probs = loaded.model(pixel_values=values).logits[0].double().softmax(0)
        check_finite(probs)
        best = probs.topk(min(TOP, len(loaded.classes)))
        top = [
            ClassProb(name=loaded.classes[number], prob=prob)
            for prob, number in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]
        reply = TriedImage(
            name=name,
            top=top,
            abstains=abstains(top, loaded.threshold),
            threshold=loaded.threshold,
            width=width,
            height=height,
            seconds=time.monotonic() - started,
            image=self._keep(Tried(header["model"], name, data)),
        )
        return Message(reply.model_dump(mode="json"))

    def _cam(self, header: dict[str, Any], data: bytes) -> Message:
        return self._heat(self._model(header["model"]), header, data)

    def _tried_cam(self, header: dict[str, Any], _data: bytes) -> Message:
        tried = self._tried.get(str(header["image"]))
        if tried is None:
            raise NotFoundError("This image is not kept any more. Drop it again.", reason="not_kept")
        self._tried.move_to_end(str(header["image"]))
        return self._heat(self._model(tried.model), header, tried.data)

    def _heat(self, loaded: Classifier, header: dict[str, Any], data: bytes) -> Message:
        """The picture of a Grad-CAM; by default of the likeliest class."""
        pixels = pictures.model_input(loaded, data, str(header.get("name", "the image")))
        values = normalise(torch.from_numpy(pixels)[None], loaded.spec)
        label = header.get("class")
        if label is None:
            with torch.no_grad():
                label = int(loaded.model(pixel_values=values).logits[0].argmax())
        if not 0 <= label < len(loaded.classes):
            raise NotFoundError(f"The model has no class {label}; it has {len(loaded.classes)}.", reason="no_class")
        heat, logits = grad_cam(loaded.model, values, label)
        check_finite(logits)
        return Message({}, pictures.webp(pictures.overlay(pixels, heat), header.get("size")))

    def _input(self, header: dict[str, Any], data: bytes) -> Message:
        """What the model sees of an image, or what a training step sees of it."""
        loaded, name = self._model(header["model"]), str(header.get("name", "the image"))
        if header.get("augmented"):
            config = TrainConfig.parse_saved(header["config"])
            pixels = pictures.augmented_input(
                loaded, config, data, name, epoch=int(header["seed"]), number=int(header["number"])
            )
        else:
            pixels = pictures.model_input(loaded, data, name)
        return Message({}, pictures.webp(pixels, header.get("size"), exact=True))

    def _versions(self, header: dict[str, Any], data: bytes) -> Message:
        """An image as the training of a config would see it in some epochs. The model's own files say its size."""
        config = TrainConfig.parse(json.loads(header["config"]))
        self._place = os.path.join(os.path.dirname(os.path.realpath(config.model_flavour)), "")
        spec = read_flavour(config.model_flavour, config.revision, config.image_size).spec
        first, count = int(header["seed"]) * VERSIONS, VERSIONS
        sheet = pictures.augmented_versions(
            spec, config, data, str(header["name"]), first=first, count=count, edge=int(header["size"])
        )
        return Message({}, pictures.webp(sheet, None, exact=True))

    # ── what is kept ────────────────────────────────────────────────────────────────────────────────────────────
    def _model(self, folder: str) -> Classifier:
        """The model of a folder; that of another folder makes room before it is loaded."""
        real = os.path.realpath(folder)
        self._place = os.path.join(os.path.dirname(real), "")
        files = [path for path in sorted(Path(real).iterdir()) if path.suffix in (".safetensors", ".json")]
        key = f"{real} {[path.stat().st_mtime_ns for path in files]}"
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = None
            self._report("loading")
            self._loaded = (key, load(real, "cpu"))
            self._report("answering")
        return self._loaded[1]

    def _keep(self, tried: Tried) -> str:
        """The id by which the image can be asked for until newer ones take its place."""
        key = secrets.token_hex(32)
        self._tried[key] = tried
        while len(self._tried) > KEPT_IMAGES or sum(len(each.data) for each in self._tried.values()) > KEPT_BYTES:
            self._tried.popitem(last=False)
        return key


def _read(file: int, header: dict[str, Any]) -> bytes:
    """The stored image behind a descriptor. Raises DataError where it is not the one that the run saw."""
    name = str(header.get("name", "the image"))
    with open(os.dup(file), "rb") as stream:
        stream.seek(0)
        data = stream.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise DataError(f"“{name}” is larger than {MAX_FILE // 2**20} MB.", reason="too_large")
    if header.get("do") == "versions":
        return data  # a form shows a file as it is now: no run has seen it
    if hashlib.sha256(data).hexdigest() != header.get("digest"):
        raise DataError(f"“{name}” has changed since the run saw it.", reason="changed")
    return data


def serve(path: Path, idle_seconds: float) -> None:
    """Answer until idle, orphaned or terminated."""
    inference, parent, last = Inference(), os.getppid(), time.monotonic()
    with socket.socket(socket.AF_UNIX) as listener:
        private_sockets.bind(listener, path)
        listener.listen(16)
        listener.settimeout(WATCH_SECONDS)
        while os.getppid() == parent and not (idle_seconds and time.monotonic() - last > idle_seconds):
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                last = _serve_one(inference, connection) or last


def _serve_one(inference: Inference, connection: socket.socket) -> float | None:
    """Answer one connection. The time at the end; None where nothing was asked."""
    connection.settimeout(READ_SECONDS)
    request = None
    try:
        private_sockets.require_own_peer(connection)
        request = receive(connection, MAX_TRIED)
        send(connection, inference.answer(request, lambda phase: send(connection, Message({"phase": phase}))))
    except (OSError, EOFError, ValueError, UnsafeFolderError) as error:  # the client has gone, or is none
        if not isinstance(error, EOFError):
            print(f"A request was not answered: {error}", file=sys.stderr, flush=True)
    finally:
        if request is not None and request.file >= 0:
            os.close(request.file)
    return None if request is None else time.monotonic()


def main(path: Path, idle_seconds: float) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the server's terminal; its end ends this process
    if sys.platform == "linux":
        with contextlib.suppress(ValueError):  # a lower limit is set already
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    try:
        serve(path, idle_seconds)
    finally:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
