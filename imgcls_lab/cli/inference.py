"""`imgcls-lab predict | evaluate | export`: apply, measure and export a trained model."""

from __future__ import annotations

import csv
import io
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgcls_lab.cli.output import Json, print_json, print_table, progress_bar, say
from imgcls_lab.plurals import counted, percent

if TYPE_CHECKING:
    from imgcls_lab.config.evaluation import TTA
    from imgcls_lab.schemas import EpochReport, ImagePrediction


class Views(StrEnum):
    NONE = "none"
    HFLIP = "hflip"
    FIVE_CROP = "five_crop"


class Form(StrEnum):
    HF = "hf"
    ONNX = "onnx"
    TORCH_EXPORT = "torch-export"


class Split(StrEnum):
    TRAIN = "train"
    VAL = "val"
    TEST = "test"


Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="Id of a run or the beginning of one, a run's folder, or a model folder.")
]
TtaOption = Annotated[
    Views, typer.Option("--tta", help="Views whose predictions are averaged; hflip: the image and its mirror image.")
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Images at a time.")]


def predict(  # noqa: PLR0917
    model: Model,
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGES...", help="Files, folders (searched below) and patterns.")
    ],
    top: Annotated[int, typer.Option(min=1, help="How many of the likeliest classes.")] = 1,
    tta: TtaOption = Views.NONE,
    device: Device = "auto",
    batch_size: BatchSize = 64,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Predict the classes of images. Exit 1 if one of them cannot be read; its row says why."""
    from imgcls_lab.api import inference
    from imgcls_lab.api.run_queue import find_model
    from imgcls_lab.errors import InputError

    if as_json and as_csv:
        raise InputError("Ask for --json or for --csv.")
    paths = inference.list_images(images, _note)
    options = inference.Options(_tta(tta), device, batch_size)
    answers = inference.predict(find_model(model), paths, top=top, options=options, notify=_note)
    found: list[ImagePrediction] = []
    with progress_bar("images") as progress:
        for answer in answers:
            found.append(answer)
            progress(len(found), len(paths))
    if as_json:
        print_json(found)
    elif as_csv:
        say(_csv(found, top), newline=False)
    else:
        abstaining = any(answer.abstains for answer in found)
        columns = ["image", *(f"{name}{'' if top == 1 else f' {n}'}" for n in _ranks(found) for name in _HEADS)]
        columns += ["answer"] * abstaining
        rows = [_cells(answer, len(_ranks(found))) for answer in found]
        if abstaining:
            rows = [[*row, "abstains" if answer.abstains else None] for row, answer in zip(rows, found, strict=True)]
        print_table(columns, rows, "No images.")
    failed = sum(answer.error is not None for answer in found)
    if failed:
        say(f"{failed} of {counted(len(found), 'image')} could not be read.", err=True)
        raise typer.Exit(1)


def _note(sentence: str) -> None:
    say(sentence, err=True)


_HEADS = ("class", "prob")


def _ranks(found: list[ImagePrediction]) -> range:
    return range(1, 1 + max((len(answer.classes) for answer in found if answer.classes), default=1))


def _cells(answer: ImagePrediction, ranks: int) -> list[object]:
    if answer.error is not None:
        return [answer.path, answer.error, *[None] * (2 * ranks - 1)]
    return [answer.path, *(cell for item in answer.classes for cell in (item.name, round(item.prob, 4)))]


def _csv(found: list[ImagePrediction], top: int) -> str:
    """A row an image; columns: path, class_1, prob_1 ... class_K, prob_K, abstains (0 or 1), error."""
    ranks = max((len(answer.classes) for answer in found), default=top)
    text = io.StringIO()
    rows: Any = csv.writer(text, lineterminator="\n")
    rows.writerow(["path", *(f"{name}_{n}" for n in range(1, ranks + 1) for name in _HEADS), "abstains", "error"])
    for answer in found:
        cells = [cell for item in answer.classes for cell in (item.name, f"{item.prob:.6g}")]
        rows.writerow([answer.path, *cells, *[""] * (2 * ranks - len(cells)), int(answer.abstains), answer.error or ""])
    return text.getvalue()


def evaluate(  # noqa: PLR0917
    model: Model,
    root: Annotated[
        Path | None, typer.Option(help="Folder of images with SPLIT/CLASS. By default the one that the run trained on.")
    ] = None,
    split: Annotated[Split, typer.Option(help="train, val or test.")] = Split.TEST,
    tta: TtaOption = Views.NONE,
    device: Device = "auto",
    batch_size: BatchSize = 64,
    as_json: Json = False,
) -> None:
    """Measure a model on a split: overall, and each class, the worst first. Classes are matched by name."""
    from imgcls_lab.api import inference
    from imgcls_lab.api.run_queue import find_model

    options = inference.Options(_tta(tta), device, batch_size)
    with progress_bar("images") as progress:
        report = inference.evaluate(
            find_model(model), split.value, root=root, options=options, progress=progress, notify=_note
        )
    if as_json:
        print_json(report)
    else:
        _tables(report)


def _tables(report: EpochReport) -> None:
    say(f"{counted(report.images, 'image')} of {report.split}/")
    print_table(["metric", "value"], [(tag, _metric(value)) for tag, value in report.values.items()], "")
    if report.answered:
        held = report.answered
        wrong = "" if held.error is None else f", and {percent(held.error, 2)} of these answers are wrong"
        say(
            f"Above its threshold of {held.threshold:.4f} the model answers {percent(held.coverage, 1)} of the "
            f"images{wrong}."
        )
    say("")
    ranked = sorted(report.classes, key=lambda row: (row.f1 is None, row.f1 or 0.0))
    rows = [(row.name, row.images, _metric(row.precision), _metric(row.recall), _metric(row.f1)) for row in ranked]
    print_table(["class", "images", "precision", "recall", "F1"], rows, "")
    if report.left_out:
        say(f"\n{counted(len(report.left_out), 'unreadable image is', 'unreadable images are')} left out:")
        for reason in report.left_out.values():
            say(f"  {reason}")


def _metric(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"


def export(
    model: Model,
    form: Annotated[Form, typer.Option("--format", help="hf: a transformers folder; onnx; torch-export.")] = Form.HF,
    out: Annotated[
        Path | None, typer.Option(help="Folder to make. By default exports/FORMAT in the run's folder.")
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(help="Images to check the export on. By default some that the run validated. Repeatable."),
    ] = None,
) -> None:
    """Write a model for other programs. It is written only if it predicts as the model does, on real images."""
    from imgcls_lab.api import inference
    from imgcls_lab.api.run_queue import find_model

    done = inference.export(find_model(model), form.value, out, inference.list_images(images or [], _note))
    say(f"Written: {done.folder}")
    say(
        f"Checked on {counted(done.images, 'image')}, "
        f"alone and in a batch: its logits differ from the model's by at most "
        f"{done.difference:.2g} (allowed: {done.limit:.2g})."
    )
    if done.abstains is not None:
        say(f"It abstains on the same images as the model: {done.abstains} of {done.images}.")
    if done.reported is not None:
        say(f"The model gives what the run reported, to {done.reported:.2g} of probability.")


def _tta(views: Views) -> TTA:
    return views.value


def add_to(app: typer.Typer) -> None:
    for command in (predict, evaluate, export):
        app.command()(command)
