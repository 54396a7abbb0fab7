"""`imgcls-lab find-lr` and `find-batch-size`: find values to begin with, in some seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from imgcls_lab.cli.output import ConfigOption, Json, Set, print_json, print_table, read_config, say

if TYPE_CHECKING:
    from imgcls_lab.config import TrainConfig

ROWS = 14  # of the table
BAR = 40  # characters


def find_lr(  # noqa: PLR0917
    config: ConfigOption = None,
    settings: Set = None,
    lowest: Annotated[float, typer.Option(min=1e-12, help="Rate to begin with.")] = 1e-7,
    highest: Annotated[float, typer.Option(min=1e-12, help="Rate to end with.")] = 1.0,
    steps: Annotated[int, typer.Option(min=20, max=10_000, help="Steps in between.")] = 100,
    as_json: Json = False,
) -> None:
    """Find a learning rate: it grows step by step until the loss diverges."""
    from imgcls_lab import api

    given = _config(config, settings)
    with _progress("steps", quiet=as_json) as on_step:
        found = api.find_lr(given, lowest=lowest, highest=highest, steps=steps, on_step=on_step).finding
    if as_json:
        print_json(asdict(found))
        return
    places = sorted({round(number * (len(found.lrs) - 1) / (ROWS - 1)) for number in range(ROWS)}) if found.lrs else []
    top = max((found.losses[place] for place in places), default=1.0)
    rows = [
        (f"{found.lrs[place]:.1e}", f"{found.losses[place]:.4f}", "█" * round(BAR * found.losses[place] / top))
        for place in places
    ]
    print_table(["lr", "loss", ""], rows, "The loss diverged at the first step; try a lower --lowest.")
    if found.suggestion is None:
        say("The loss fell nowhere, so there is nothing to suggest. Try other rates or more steps.")
    else:
        say(f"Steepest descent at {found.suggestion:.1e}: --set lr={found.suggestion:.1e}")


def find_batch_size(
    config: ConfigOption = None,
    settings: Set = None,
    largest: Annotated[int | None, typer.Option(min=2, help="No larger than this.")] = None,
    as_json: Json = False,
) -> None:
    """Find the batch sizes that fit, and how fast each is."""
    from imgcls_lab.api.finders import ENDED, find_batch_size

    given = _config(config, settings)
    with _progress("images a batch", quiet=as_json) as on_step:
        found = find_batch_size(given, largest=largest, on_step=on_step).finding
    if as_json:
        print_json(asdict(found))
        return
    rows = [
        (trial.batch_size, f"{trial.images_per_second:,.1f}", f"{trial.memory / 2**30:.2f} GiB")
        for trial in found.trials
    ]
    print_table(["batch size", "images/s", "memory"], rows, "")
    say(ENDED[found.ended])
    say(f"The smallest that is nearly the fastest: --set batch_size={found.suggestion}")


def _config(config: str | None, settings: list[str] | None) -> TrainConfig:
    from imgcls_lab.api import context
    from imgcls_lab.errors import StoreError

    try:
        return read_config(config, settings, context.store())
    except StoreError:  # only saved configs are looked up there
        return read_config(config, settings)


@contextmanager
def _progress(what: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A line on stderr with the progress."""
    from rich.console import Console

    console = Console(stderr=True, quiet=quiet)
    with console.status("loading the model") as status:
        yield lambda done, total: status.update(f"{done} of {total} {what}")


def add_to(app: typer.Typer) -> None:
    app.command("find-lr")(find_lr)
    app.command("find-batch-size")(find_batch_size)
