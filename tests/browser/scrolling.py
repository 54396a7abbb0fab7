"""How a box of a page scrolls for three seconds: frames, and the work of the page's thread."""

from __future__ import annotations

from typing import NamedTuple

from playwright.sync_api import Page

SECONDS = 3

SCROLL = """async ([selector, pixels, seconds]) => {
  const box = [...document.querySelectorAll(selector)].find(box => box.checkVisibility());
  const frames = [];
  const begun = performance.now();
  for (let last = begun; last - begun < 1000 * seconds; ) {
    const now = await new Promise(requestAnimationFrame);
    frames.push(now - last);
    last = now;
    box.scrollTop += pixels;
  }
  frames.sort((a, b) => a - b);
  return [frames.length / seconds, frames[Math.floor(frames.length * 0.95)], box.scrollTop];
}"""


class Scrolled(NamedTuple):
    """cost: ms of CPU of the page's main thread for a frame; rate: frames a second; slowest: ms of the frame that 95 %
    stay within; top: px that the box came to."""

    cost: float
    rate: float
    slowest: float
    top: int


def scrolled(page: Page, selector: str, pixels: int) -> Scrolled:
    """Scroll the visible box of this selector by some px a frame."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))

    before = busy()
    rate, slowest, top = page.evaluate(SCROLL, [selector, pixels, SECONDS])
    cost = (busy() - before) * 1000 / (rate * SECONDS)
    session.detach()
    return Scrolled(cost, rate, slowest, int(top))
