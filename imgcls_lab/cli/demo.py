"""`imgcls-lab demo`: the main job with no browser, from real images to a model that plain transformers loads.

Goes the whole path: demo data, store, queue, executor, engine; ends in a summary with the lines to try next.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgcls_lab.cli.output import program, say
from imgcls_lab.plurals import percent

if TYPE_CHECKING:
    from imgcls_lab.api import Run


class Data(StrEnum):
    DIGITS = "digits"
    FASHION = "fashion-mnist"


def demo(
    data: Annotated[
        Data, typer.Option(help="digits, or fashion-mnist: writes its images, and a config to train on them.")
    ] = Data.DIGITS,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs, instead of the demo's own number.")] = None,
    prepare_only: Annotated[
        bool, typer.Option("--prepare-only", help="Write and register the demo data only.")
    ] = False,
) -> None:
    """Train a small net on real handwritten digits, through queue and executor, and load what came out."""
    from imgcls_lab import demo as digits
    from imgcls_lab.errors import ImgclsError
    from imgcls_lab.events import RunState

    if data is Data.FASHION:
        from imgcls_lab import fashion_mnist
        from imgcls_lab.api import context

        written = fashion_mnist.prepare(context.settings(), context.store())
        say(f"Images: {written.root} (55,000 to train, 5,000 to validate, 10,000 to test), model: {written.model}")
        say(f"The recipe is saved as the config “{fashion_mnist.NAME}”. Train it:")
        say(f"  {program()} train --config {fashion_mnist.NAME}")
        return
    files = digits.prepare()
    say(f"Demo data: {files.root} (1,797 handwritten digits), model: {files.model}")
    if prepare_only:
        return
    run = digits.launch(files, epochs)
    say(f"Queued as {run.id}; it goes on even if this command is interrupted.")
    run.wait()
    if run.view.state is not RunState.SUCCEEDED:
        raise ImgclsError(f"The demo run was {run.view.state.value} by somebody; `imgcls-lab show {run.id}` says more.")
    _summary(run, files.root)


def _summary(run: Run, root: Path) -> None:
    from imgcls_lab.config.evaluation import format_metric
    from imgcls_lab.run_sentence import duration

    view = run.view
    right, total = recognised(run.best_checkpoint, root / "test")
    best = format_metric(view.best.metric, view.best.value) if view.best else "–"
    say("")
    say(f"Trained in {duration(view.ran)} on {', '.join(view.devices) or 'cpu'}; best validation {best}.")
    say(f"Loaded again with plain transformers: {right} of {total} test digits right ({percent(right / total, 1)}).")
    say(f"Folder: {run.folder}")
    say("")
    say("Try next:")
    command = program()
    say(f"  {command} show {run.id}")
    say(f"  {command} runs")
    say(f"  {command} launch --set root=YOUR/FOLDER --set epochs=5 --wait")
    say(f"  {program('jupyter')} lab            # the panel with the layered pictures on the left")
    say(
        f"  {program('python')} -c \"from transformers import pipeline; print(pipeline('image-classification', "
        f"model='{run.best_checkpoint}')('{next(iter(sorted(root.glob('test/7/*.png'))))}')[0])\""
    )


def recognised(model: Path, folder: Path) -> tuple[int, int]:
    """How many images of FOLDER/CLASS/* a saved model recognises, and how many there are."""
    from transformers import pipeline
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    paths = sorted(folder.glob("*/*.png"))
    classify = pipeline("image-classification", model=str(model), device="cpu")
    answers = classify([str(path) for path in paths], top_k=1, batch_size=64)
    right = sum(answer[0]["label"] == path.parent.name for answer, path in zip(answers, paths, strict=True))
    return right, len(paths)


def add_to(app: typer.Typer) -> None:
    app.command()(demo)
