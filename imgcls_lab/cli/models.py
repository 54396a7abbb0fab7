"""`imgcls-lab models register | cached`: checkpoints of runs as models, and what lies in the hub's cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from imgcls_lab.cli.output import Json, print_json, print_table, say

if TYPE_CHECKING:
    from imgcls_lab.schemas import ModelFacts


def register(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, or the beginning of one.")],
    checkpoint: Annotated[str, typer.Option(help="best, last, or the name of a checkpoint.")] = "best",
    name: Annotated[str, typer.Option(help="Name of the model. By default made from the run's.")] = "",
    as_json: Json = False,
) -> None:
    """Register a checkpoint of a run as a model, with which other runs can begin."""
    from imgcls_lab import api

    made = api.run(run).register(name, checkpoint=checkpoint)
    if as_json:
        print_json(made)
        return
    epoch = f", epoch {made.made_by.epoch}" if made.made_by and made.made_by.epoch is not None else ""
    say(f"Registered the model {made.name}{epoch}: {facts_text(made.facts)}.")


def cached(as_json: Json = False) -> None:
    """List the models for images that lie in the hub's cache on this machine. No network is asked."""
    from imgcls_lab.api import context

    found = context.store().models.cached()
    if as_json:
        print_json(found)
    else:
        rows = [(item.flavour, facts_text(item.facts), item.registered) for item in found]
        print_table(["model", "what its files say", "registered as"], rows, "No model lies in the hub's cache here.")


def facts_text(facts: ModelFacts) -> str:
    """Such as “ResNetForImageClassification, 25.6 million parameters, 224 x 224 px, apache-2.0, 102 MB”."""
    if facts.place == "hub":
        return "not on this machine"
    size = " x ".join(map(str, facts.input_size or ()))
    parts = [
        facts.architecture,
        f"{_short(facts.parameters)} parameters" if facts.parameters is not None else "no weights",
        f"{size} px" if size else "",
        facts.licence or "no licence named",
        f"{facts.size / 1e6:,.1f} MB" if facts.size is not None else "",
    ]
    return ", ".join(filter(None, parts))


def _short(count: int) -> str:
    return f"{count / 1e6:,.1f} million" if count >= 1e6 else f"{count:,}"


def add_to(app: typer.Typer) -> None:
    """The commands that only models have."""
    app.command()(register)
    app.command("cached")(cached)
