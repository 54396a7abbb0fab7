"""TensorBoard in a tab: drawn and growing, asleep and back, killed and back, in Lab's own theme."""

from __future__ import annotations

import re
import signal
import subprocess
import time

import psutil
import pytest
from playwright.sync_api import FrameLocator, Locator, Response, expect

from tests.browser.conftest import PICTURES, Desk, Lab
from tests.browser.test_panel import launch, start_demo
from tests.waiting import until

pytestmark = [pytest.mark.browser]


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGCLS_CPU_SLOTS", "2")


@pytest.fixture
def _soon_asleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGCLS_TB_IDLE_TIMEOUT", "25")  # more than a live page's pause between two looks


def tcp_listeners(lab: Lab) -> set[str]:
    """Where the server and all that it started listen."""
    assert lab.process
    server = psutil.Process(lab.process.pid)
    pids = {f"pid={process.pid}," for process in [server, *server.children(recursive=True)]}
    said = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    return {line.split()[3] for line in said.splitlines() if any(pid in line for pid in pids)}


def board_processes(lab: Lab) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "imgcls_lab.tensorboards.serve" in command and any(str(lab.home) in part for part in command):
            found.append(process)
    return found


def has_no_process(lab: Lab) -> None:
    """The page says that it sleeps; the system may need a moment to take the process away."""
    until(lambda: board_processes(lab) == [], why=lambda: f"it still runs: {board_processes(lab)}")


def board(desk: Desk) -> Locator:
    return desk.main.locator(".imgcls-board")


def frame(desk: Desk) -> FrameLocator:
    return board(desk).frame_locator("iframe")


def expect_chart(desk: Desk) -> None:
    """The training loss is drawn by TensorBoard itself."""
    card = frame(desk).locator("card-view", has_text="loss/train").first  # pinned, so it stands at the top
    try:
        expect(card.locator("line-chart").first).to_be_visible(timeout=60_000)
    except AssertionError as error:
        raise AssertionError(f"TensorBoard shows instead: {frame(desk).locator('body').inner_text()!r}") from error


def expect_growth(desk: Desk) -> None:
    """The drawn curve of the training loss has more points than it had a while ago."""
    replies: list[Response] = []
    desk.page.on("response", lambda reply: replies.append(reply) if "/timeSeries" in reply.url else None)
    seen: list[int] = []
    end = time.monotonic() + 90
    while len(set(seen)) < 2:
        assert time.monotonic() < end, f"the curve stands still at {seen} points"
        desk.page.wait_for_timeout(1000)  # between two looks
        while replies:
            for series in replies.pop(0).json():
                if series["tag"] == "loss/train":
                    seen.extend(map(len, series["runToSeries"].values()))
    assert seen == sorted(seen)


def told_of_the_end(desk: Desk, lab: Lab, pid: int) -> bool:
    """The tab says that TensorBoard was killed; False: a request of the open page started it again before that."""
    end = time.monotonic() + 30
    while not board(desk).get_by_text("ended unexpectedly").is_visible():
        assert time.monotonic() < end, "TensorBoard was killed, and the tab does not say so"
        if any(process.pid != pid for process in board_processes(lab)):
            return False
        desk.page.wait_for_timeout(100)  # between two looks
    return True


@pytest.mark.parametrize("lab", [{"base_url": "/user/a%20b/"}], indirect=True)
def test_a_live_run_is_drawn_grows_sleeps_and_comes_back(desk: Desk, lab: Lab) -> None:
    start_demo(desk)
    run = launch(desk, epochs="300")
    desk.run_page("running")
    desk.wait_for_points(0)
    before = tcp_listeners(lab)
    assert before == {f"127.0.0.1:{lab.port}"}
    desk.main.get_by_role("button", name="TensorBoard", exact=True).click()
    expect(board(desk)).to_have_attribute("data-board", f"run-{run}")
    expect_chart(desk)
    until(lambda: len(board_processes(lab)) == 1, why=lambda: str(board_processes(lab)))
    assert tcp_listeners(lab) == before
    address = desk.page.frames[-1].url
    assert "/user/a%20b/imgcls/tensorboard/" in address
    assert "darkMode=false" in address
    desk.page.screenshot(path=PICTURES / "tensorboard-light.png")

    expect_growth(desk)

    expect(board(desk)).to_have_attribute("data-board-state", "running")
    board(desk).get_by_role("button", name="Stop").click()
    expect(board(desk).get_by_text("TensorBoard sleeps")).to_be_visible()
    has_no_process(lab)
    board(desk).get_by_role("button", name="Open it again").click()
    expect_chart(desk)

    expect(board(desk)).to_have_attribute("data-board-state", "running")
    (process,) = board_processes(lab)
    process.send_signal(signal.SIGKILL)
    if told_of_the_end(desk, lab, process.pid):
        board(desk).get_by_role("button", name="Start", exact=True).click()
    expect_chart(desk)

    desk.page.reload()
    expect(desk.page.locator(".imgcls-board")).to_be_visible(timeout=30_000)
    expect_chart(desk)

    row = desk.open_panel().locator(f"[data-board='run-{run}']")
    expect(row).to_contain_text("MB")
    row.get_by_role("button", name="forget").click()
    expect(row).to_be_hidden()
    has_no_process(lab)


@pytest.mark.usefixtures("_soon_asleep")
@pytest.mark.parametrize("lab", [{"theme": "JupyterLab Dark"}], indirect=True)
def test_lab_s_dark_theme_is_tensorboard_s_and_an_idle_one_sleeps(desk: Desk, lab: Lab) -> None:
    start_demo(desk)
    run = launch(desk, epochs="2")
    desk.run_page("succeeded")
    row = desk.page.locator(f"#imgcls-lab-sidebar [data-run='{run}']").first
    row.click(button="right")
    desk.page.get_by_role("menuitem", name="TensorBoard").click()
    expect(board(desk)).to_have_attribute("data-board", f"run-{run}")
    expect_chart(desk)
    expect(frame(desk).locator("body")).to_have_class(re.compile("dark-mode"))
    desk.page.screenshot(path=PICTURES / "tensorboard-dark.png")
    frame(desk).locator(".plugins [role=tab]", has_text="Images").click()
    expect(frame(desk).get_by_text("evaluation/confusion").first).to_be_visible()
    desk.page.screenshot(path=PICTURES / "tensorboard-images.png")

    # nobody asks for anything: it falls asleep, and comes back where it stood
    expect(board(desk).get_by_text("TensorBoard sleeps")).to_be_visible(timeout=60_000)
    has_no_process(lab)
    board(desk).get_by_role("button", name="Open it again").click()
    expect(frame(desk).locator("body")).to_be_visible(timeout=60_000)
    desk.page.wait_for_function(
        "() => document.querySelector('.imgcls-frame').contentWindow.location.hash === '#images'"
    )

    # a link to one curve
    address = f"{lab.root}imgcls/tensorboard/run-{run}/?tagFilter=%5Eloss%2Fval%24"
    page = desk.page.context.new_page()
    page.goto(address)
    card = page.locator("card-view")
    expect(card.first).to_contain_text("loss/val", timeout=60_000)
    expect(page.locator("card-view", has_text="loss/train")).to_have_count(0)
    page.close()
