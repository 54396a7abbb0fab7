"""100,000 images in 1,000 classes through scan, launch, epoch, evaluation, resume and the panel; and what they cost.

Made-up JPEGs of 32 px, and the same 1,000 classes with a tenth of the images beside them: what a part's memory grows
by from one to the other, over the images between, is what it keeps of an image. Each part is a process of its own,
and its memory is the most that it ever held (the server's: what it holds afterwards). The scan and the panel include
the analysis of the data: duplicates, leaks, odd images, sizes and classes.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import resource
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import simplejpeg

from benchmarks import labs
from benchmarks.frame import Line, reported
from imgcls_lab import demo_data
from imgcls_lab.config import TrainConfig
from imgcls_lab.events import EpochEnded, Event, Metrics, Phase, Started, read_events
from imgcls_lab.run_layout import events_name
from imgcls_lab.schemas import DatasetEdit
from imgcls_lab.store import Store

CLASSES = 1000
SIZES = {"small": 10, "large": 100}  # images a class, one in ten of them to validate
EDGE = 32  # px
MOST = 200  # bytes an image
Found = dict[str, float]  # seconds by stage, and `memory`: bytes at most


def measure(folder: Path, quick: bool) -> list[Line]:  # noqa: ARG001 - it has no short form
    found: dict[str, dict[str, Found]] = {}
    for size, each in SIZES.items():
        here = folder / size
        config = _make(here, each)
        run = here / "run"
        parts: dict[str, Callable[[], Found]] = {
            "scan and launch": partial(_apart, _begin, config, run, here),
            "second scan and launch": partial(_apart, _begin, config, here / "again", here),
            "launch that fills the cache": partial(_apart, _cached, config, here / "filling", here),
            "launch from the cache": partial(_apart, _cached, config, here / "filled", here),
            "resume": partial(_apart, _begin, config, run, here),
            "epoch and its evaluation": partial(_apart, _epoch, config, here / "epoch", here),
            "evaluation of a model folder": partial(_apart, _evaluate, config, here / "epoch", here),
            "panel": partial(_panel, here, config.root),
        }
        found[size] = {name: part() for name, part in parts.items()}
    large = found["large"]
    lines = [
        reported(f"{part}: {stage}", took, "s") for part, stages in large.items() for stage, took in _times(stages)
    ]
    between = CLASSES * (SIZES["large"] - SIZES["small"])
    for part, stages in large.items():
        grown = (stages["memory"] - found["small"][part]["memory"]) / between
        note = f"{stages['memory'] / 2**20:,.0f} MB in all"
        lines.append(Line(f"memory of an image: {part}", MOST, max(0.0, grown), "bytes", note=note))
    return lines


def _times(stages: Found) -> list[tuple[str, float]]:
    return [(stage, took) for stage, took in stages.items() if stage != "memory"]


# ── the data ────────────────────────────────────────────────────────────────────────────────────────────────────
def _make(folder: Path, each: int) -> TrainConfig:
    """Images of noise in a colour a class, and a config that trains a tiny model on them."""
    rng = np.random.default_rng(0)
    root = folder / "data"
    for number in range(CLASSES):
        colour = rng.uniform(60, 196, 3)
        for split, count in (("train", each - each // 10), ("val", each // 10)):
            target = root / split / f"class-{number:04d}"
            target.mkdir(parents=True)
            pixels = np.clip(rng.normal(colour, 25, (count, EDGE, EDGE, 3)), 0, 255).astype(np.uint8)
            for place, image in enumerate(pixels):
                (target / f"{place:03d}.jpg").write_bytes(simplejpeg.encode_jpeg(image, quality=80))
    model = folder / "models" / "tiny"
    model.parent.mkdir()
    demo_data.write_model(model, {**demo_data.TINY_RESNET, "embedding_size": 8, "hidden_sizes": [8, 16, 16, 32]})
    return TrainConfig(
        root=str(root), model_flavour=str(model), load_pretrained=False, image_size=EDGE, augmentation="light",
        epochs=1, batch_size=256, lr=1e-3, log_every=1, cache="off", device="cpu", precision="fp32",
    )  # fmt: skip


# ── the parts ───────────────────────────────────────────────────────────────────────────────────────────────────
def _apart(part: Callable[..., Found], *arguments: Any) -> Found:
    """What a part gives in a new process, and the most memory that this held."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_report, args=(there, part, *arguments))
    process.start()
    there.close()
    try:
        answer: Found = here.recv()
    except EOFError:
        raise RuntimeError(f"{part.__name__} failed; its traceback is above.") from None
    finally:
        process.join()
    return answer


def _report(there: Any, part: Callable[..., Found], *arguments: Any) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        found = part(*arguments)
    there.send({"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024} | found)


def _begin(config: TrainConfig, run: Path, home: Path) -> Found:
    """Train one more step in a run's folder; seconds of each stage before it."""
    stop = threading.Event()
    begin = time.time()
    heard = _train(config, run, home, lambda event: stop.set() if isinstance(event, Metrics) else None, stop)
    scan = next(e.t for e in heard if isinstance(e, Phase) and e.name == "scanning images")
    ready = next(e.t for e in heard if isinstance(e, Started))
    step = next(e.t for e in heard if isinstance(e, Metrics))
    return {"listing the files": scan - begin, "looking at them": ready - scan, "to the first step": step - begin}


def _cached(config: TrainConfig, run: Path, home: Path) -> Found:
    """The same with the cache on disk. The mapped file is the system's to drop: memory is what is the process's own."""
    most, over, status = 0, threading.Event(), Path("/proc/self/status")

    def watch() -> None:
        nonlocal most
        while not over.wait(0.02):
            most = max(most, *(int(line.split()[1]) for line in status.open() if line.startswith("RssAnon")))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        found = _begin(config.model_copy(update={"cache": "disk"}), run, home)
    finally:
        over.set()
        watcher.join()
    return found | {"memory": most * 1024}


def _epoch(config: TrainConfig, run: Path, home: Path) -> Found:
    """A whole run of one epoch, with its evaluation and predictions."""
    heard = _train(config, run, home, lambda _event: None, threading.Event())
    steps = [event.t for event in heard if isinstance(event, Metrics)]
    ended = next(event.t for event in heard if isinstance(event, EpochEnded))
    return {"training": steps[-1] - steps[0], "evaluation and report": ended - steps[-1]}


def _train(
    config: TrainConfig, run: Path, home: Path, hear: Callable[[Event], None], stop: threading.Event
) -> list[Event]:
    """All events of the attempt."""
    from imgcls_lab.engine import train
    from imgcls_lab.engine.data.cache_locations import CacheLocations

    train(config, run, on_event=hear, stop=stop, cache_locations=CacheLocations.of_home(labs.settings(home)))
    newest = max(number for number in range(1, 10) if (run / events_name(number)).exists())
    return list(read_events(run / events_name(newest))[0])


def _evaluate(config: TrainConfig, run: Path, _home: Path) -> Found:
    """What `imgcls-lab evaluate` does on val/."""
    from imgcls_lab.engine.inference.predict import evaluate

    begin = time.time()
    report = evaluate(run / "checkpoints" / "best", Path(config.root), "val")
    took = time.time() - begin
    assert len(report.classes) == CLASSES
    return {"scan, predictions and report": took}


def _panel(folder: Path, root: str) -> Found:
    """The data set's page in a server, asked for twice."""
    settings = labs.settings(folder)
    with Store.open(settings, migrate=True) as store:
        begin = time.time()
        data = store.datasets.add(DatasetEdit(name="scale", root=root))
        registered = time.time() - begin
    with labs.serving(folder / "server", settings.home_path, {"DATASETS_DIR": root}) as (server, asker):
        first, _ = asker.get(f"datasets/{data.id}")
        again, _ = asker.get(f"datasets/{data.id}")
        listed, _ = asker.get("datasets")
        memory = psutil.Process(server.process.pid).memory_info().rss
    return {
        "registering": registered, "the page": first, "the page again": again, "the list": listed, "memory": memory,
    }  # fmt: skip
