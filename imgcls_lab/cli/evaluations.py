"""`imgcls-lab mistakes | flips`: the images that a run classified wrongly, and what it fixed and broke."""

from __future__ import annotations

import csv
import io
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgcls_lab.cli.output import Json, print_json, print_table, say

if TYPE_CHECKING:
    from imgcls_lab.schemas import Flip


class Evaluated(StrEnum):
    VAL = "val"
    TEST = "test"


class By(StrEnum):
    LOSS = "loss"
    CONFIDENCE = "confidence"


RunId = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, or the beginning of one.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
SplitOption = Annotated[Evaluated, typer.Option("--split", help="val, or test: of the best model on test/.")]


def mistakes(  # noqa: PLR0917
    run_id: RunId,
    number: Annotated[int, typer.Option("-n", "--number", min=0, help="How many at most; 0: all.")] = 20,
    by: Annotated[By, typer.Option(help="loss: the largest first; confidence: the surest first.")] = By.LOSS,
    label: Annotated[str | None, typer.Option(help="Only images of this class.")] = None,
    predicted: Annotated[str | None, typer.Option(help="Only images that are taken for this class.")] = None,
    epoch: Annotated[int | None, typer.Option(min=0, help="By default the best epoch.")] = None,
    split: SplitOption = Evaluated.VAL,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """List the images that a run classified wrongly, with their class and what they are taken for."""
    from imgcls_lab import api

    _one_form(as_json, as_csv)
    found = api.run(run_id).mistakes(
        number or None, by=by.value, split=split.value, epoch=epoch, label=label, predicted=predicted
    )
    columns = ["name", "label", "predicted", "confidence", "loss", "image"]
    if as_json:
        print_json([item.model_dump(mode="json") for item in found.items])
    elif as_csv:
        _print_csv(columns, [item.model_dump() for item in found.items])
    else:
        rows = [
            (item.name, item.label, item.predicted, _figure(item.confidence), _figure(item.loss), item.image[:12])
            for item in found.items
        ]
        print_table(columns, rows, "No mistakes.", spare=["image", "loss"])
        say(f"{found.title}.", err=True)


def flips(
    run_id: RunId,
    against: Annotated[
        str | None, typer.Option(help="Run to compare with; by default the one that it was continued from.")
    ] = None,
    split: SplitOption = Evaluated.VAL,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Say which images a run fixed and which it broke compared with another, at most 200 of each."""
    from imgcls_lab import api

    _one_form(as_json, as_csv)
    view = api.run(run_id).flips(against, split.value).view
    listed = [("fixed", flip) for flip in view.fixed] + [("broke", flip) for flip in view.broke]
    columns = ["change", "name", "label", "before", "after", "image"]
    if as_json:
        print_json(view)
    elif as_csv:
        _print_csv(columns, [{"change": change, **flip.model_dump()} for change, flip in listed])
    else:
        print_table(columns, [_cells(change, flip) for change, flip in listed], "No image changed.", spare=["image"])
        say(view.sentence)


def _cells(change: str, flip: Flip) -> list[object]:
    return [change, flip.name, flip.label, flip.before, flip.after, flip.image[:12]]


def _figure(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _one_form(as_json: bool, as_csv: bool) -> None:
    from imgcls_lab.errors import InputError

    if as_json and as_csv:
        raise InputError("Ask for --json or for --csv.")


def _print_csv(columns: list[str], rows: list[dict[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    say(text.getvalue(), newline=False)


def add_to(app: typer.Typer) -> None:
    for command in (mistakes, flips):
        app.command()(command)
