"""A tour of the whole panel: runs of every kind, and each page with each of its tabs, one after the other."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from playwright.sync_api import Locator, expect

from imgcls_lab import demo_data
from imgcls_lab.settings import Settings
from tests.browser.conftest import TOKEN, Desk, Lab
from tests.waiting import until

VIEWS = Path(__file__).parents[2] / "labextension/src/views/ui/navigation.ts"
WAITS = re.compile(r"^(Reading|Loading|Checking|Looking)\b.*…")  # what a page says while it has nothing to show yet
ELSEWHERE = {"executed-notebook"}  # shown by Lab's own notebook


class Prepared(NamedTuple):
    """Ids of what there is to see."""

    best: str
    other: str
    failed: str
    sweep: str
    running: str
    waiting: str
    audit: str
    dataset: int
    project: int
    config: int


def ask(desk: Desk, verb: str, path: str, body: object = None) -> Any:
    """The answer of a route of the server."""
    reply = desk.page.request.fetch(
        f"{desk.lab.root}imgcls/api/{path}",
        method=verb,
        headers={"Authorization": f"token {TOKEN}", "Content-Type": "application/json"},
        data=None if body is None else json.dumps(body),
    )
    assert reply.ok, f"{verb} {path}: {reply.status} {reply.text()[:500]}"
    return reply.json() if reply.text() else None


def wait_for(desk: Desk, run: str, *states: str, seconds: float = 150) -> None:
    until(lambda: ask(desk, "GET", f"runs/{run}")["state"] in states, seconds, lambda: f"{run} did not become {states}")


def demo(desk: Desk, lab: Lab) -> tuple[demo_data.DemoFiles, dict[str, Any]]:
    """The demo's data set and model, registered, and its config."""
    ask(desk, "POST", "demo", {})
    files = demo_data.prepare(Settings(home=str(lab.home), datasets_dir=str(lab.datasets)))
    return files, demo_data.demo_config(files.root, files.model).model_dump(mode="json")


def prepare(desk: Desk, lab: Lab) -> Prepared:
    """The demo's data with two trainings, a failed one, a sweep, an audit; one run under way and one that waits."""
    files, base = demo(desk, lab)

    def submit(name: str, **fields: object) -> str:
        return str(ask(desk, "POST", "runs", {"config": {**base, **fields}, "name": name})["id"])

    best = submit("digits, three epochs", epochs=3)
    gone = shutil.copytree(files.root, lab.datasets / "gone")
    failed = submit("digits without its files", root=str(gone), epochs=1)
    shutil.rmtree(gone)  # while it waits for the first to end
    other = submit("digits, higher learning rate", epochs=2, lr=1e-2, batch_size=64)
    sweep = ask(
        desk,
        "POST",
        "sweeps",
        {"base": {**base, "epochs": 1}, "space": {"lr": {"values": [1e-3, 3e-3]}}, "name": "rates"},
    )
    dataset = ask(desk, "GET", "datasets")[0]["id"]
    wait_for(desk, best, "succeeded")
    audit = ask(desk, "POST", f"datasets/{dataset}/audit", {"run_id": best})
    for run in (other, sweep["id"], audit["run_id"]):
        wait_for(desk, run, "succeeded")
    wait_for(desk, failed, "failed")
    running = submit("digits, under way", epochs=2000)
    waiting = submit("digits, next in turn", epochs=2000)
    wait_for(desk, running, "running")
    notes = "# What was tried\n\nThree epochs with the *demo's* settings."
    ask(desk, "PATCH", f"runs/{best}", {"notes": notes, "tags": ["first"]})
    project, config = (int(ask(desk, "GET", kind)[0]["id"]) for kind in ("projects", "configs"))
    return Prepared(best, other, failed, sweep["id"], running, waiting, audit["run_id"], dataset, project, config)


def write_notebook(lab: Lab) -> str:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("times = 2  # type: int how often")])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(notebook, lab.work / "greeting.ipynb")
    return "greeting.ipynb"


class Stop(NamedTuple):
    """A page as a place of the panel's navigation, and what is done on it after it was looked at."""

    name: str
    place: dict[str, Any]
    then: Callable[[Desk], Iterator[str]] | None = None


def image_of_the_evaluation(desk: Desk) -> Iterator[str]:
    """One image beside the evaluation, with all that is known of it."""
    desk.main.get_by_role("tab", name="Evaluation", exact=True).click()
    desk.main.locator(".imgcls-images-card .imgcls-grid-cell").first.dblclick()
    expect(desk.main.locator(".imgcls-image-panel .imgcls-biography")).to_be_visible()
    yield "image"
    desk.page.locator("body").press("Escape")


def single_changes(desk: Desk) -> Iterator[str]:
    desk.main.get_by_role("button", name="Run the single changes…").click()
    expect(desk.main.get_by_role("button", name="Queue 2 runs")).to_be_visible()
    yield "single-changes"
    desk.page.locator("body").press("Escape")


def questions_of_the_run(desk: Desk) -> Iterator[str]:
    head = desk.main.locator(".imgcls-head")
    size = desk.page.viewport_size
    if size and size["width"] < 1200:  # a menu has what there is no room for
        head.get_by_role("button", name="More", exact=True).click()
        expect(head.get_by_role("dialog", name="More to do with the run")).to_be_visible()
        yield "more"
    head.get_by_role("button", name="Delete…").click()
    yield "delete"
    desk.page.locator("body").press("Escape")


def unfolded_form(desk: Desk) -> Iterator[str]:
    desk.main.locator("details").evaluate_all("all => all.forEach(each => (each.open = true))")
    yield "unfolded"


def folder_browser(desk: Desk) -> Iterator[str]:
    desk.main.get_by_role("tab", name="Data sets").click()
    desk.main.get_by_role("button", name="Register a folder…").click()
    yield "register"


def stops(lab: Lab, has: Prepared) -> list[Stop]:
    """Every view of the panel; those that are not here are opened without arguments."""
    known = [
        Stop("registries", {"view": "registries"}, folder_browser),
        Stop("new-run", {"view": "new-run"}, unfolded_form),
        Stop("new-run-of-run", {"view": "new-run", "from": has.best}),
        Stop("new-sweep", {"view": "new-sweep", "from": has.best}),
        Stop("run-notebook", {"view": "run-notebook", "path": write_notebook(lab)}),
        Stop("runs", {"view": "runs"}),
        Stop("compare", {"view": "compare", "ids": [has.best, has.other]}, single_changes),
        Stop("run", {"view": "run", "id": has.best}, image_of_the_evaluation),
        Stop("run-failed", {"view": "run", "id": has.failed}, questions_of_the_run),
        Stop("run-running", {"view": "run", "id": has.running}),
        Stop("run-waiting", {"view": "run", "id": has.waiting}),
        Stop("run-sweep", {"view": "run", "id": has.sweep}),
        Stop("run-audit", {"view": "run", "id": has.audit}),
        Stop("project", {"view": "project", "id": has.project}),
        Stop("config", {"view": "config", "id": has.config}),
        Stop("dataset", {"view": "dataset", "id": has.dataset}),
        Stop("tensorboard", {"view": "tensorboard", "run_ids": [has.best]}),
    ]
    views = set(re.findall(r"view: '([\w-]+)'", VIEWS.read_text())) - ELSEWHERE
    assert views, "the views of the panel are not where they were"
    missing = sorted(views - {stop.place["view"] for stop in known})
    return known + [Stop(view, {"view": view}) for view in missing]


def settle(desk: Desk) -> None:
    """Until nothing on the page waits for the server, and what it drew then stands still."""
    waits = desk.page.locator(".imgcls-main:visible, .imgcls-side:visible").get_by_text(WAITS).locator("visible=true")
    expect(waits).to_have_count(0, timeout=30_000)
    desk.quiet()


def show(desk: Desk, place: dict[str, Any]) -> Locator:
    desk.page.evaluate("place => window.jupyterapp.commands.execute('imgcls-lab:open', place)", place)
    expect(desk.main).to_have_count(1)
    settle(desk)
    return desk.main


def close_tabs(desk: Desk) -> None:
    desk.page.evaluate("() => window.jupyterapp.commands.execute('application:close-all')")
    expect(desk.page.locator(".imgcls-main")).to_have_count(0)


def visit(desk: Desk, stop: Stop) -> Iterator[str]:
    """Show a page with each of its tabs; yields what is in front. The page is in the caller's hands meanwhile."""
    page = show(desk, stop.place)
    tabs = page.get_by_role("tablist").first.get_by_role("tab")
    if tabs.count() == 0:
        yield stop.name
    for number in range(tabs.count()):
        tabs.nth(number).click()
        settle(desk)
        yield f"{stop.name}-{re.sub(r'[^a-z]+', '-', tabs.nth(number).inner_text().lower()).strip('-')}"
    for what in stop.then(desk) if stop.then else ():
        settle(desk)
        yield f"{stop.name}-{what}"


def change_theme(desk: Desk, theme: str) -> None:
    name = f"JupyterLab {theme.title()}"
    desk.page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", name)
    expect(desk.page.locator(f"body[data-jp-theme-name='{name}']")).to_have_count(1)
