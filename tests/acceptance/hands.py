"""A stranger's two hands: what is done in the page by the mouse, and by the keyboard alone, counted."""

from __future__ import annotations

import time

from playwright.sync_api import Locator, Page

NAMED = """() => {
  const here = document.activeElement;
  const by = document.getElementById(here?.getAttribute('aria-labelledby') ?? '');
  return (here?.getAttribute('aria-label') ?? by?.innerText ?? here?.innerText ?? '').trim();
}"""
FARTHEST = 250  # presses of Tab


class Hands:
    """One task at a time: `begin` it, do it, `said` prints what it took."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.begin()

    def begin(self) -> None:
        self.clicks = self.keys = 0
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    def said(self, task: str, most: float | None = None) -> float:
        """Print seconds, clicks and keys of the task. Returns the seconds."""
        took = self.seconds
        wanted = "" if most is None else f", wanted {most:.0f} s"
        print(f"{task}: {took:.1f} s{wanted}; {self.clicks} clicks, {self.keys} keys")
        return took

    def click(self, what: Locator, **how: object) -> None:
        what.click(**how)  # type: ignore[arg-type]
        self.clicks += 1

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.keys += 1

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)
        self.keys += len(text)

    def palette(self, words: str) -> None:
        """Search the palette by the beginning of a command's name and take its first answer."""
        self.press("Control+Shift+C")
        self.page.locator("#command-palette input, #modal-command-palette input").first.wait_for()
        self.type(words)
        self.page.locator(".lm-CommandPalette-item.lm-mod-active", has_text=words).first.wait_for()
        self.press("Enter")

    def here(self) -> str:
        """What has the keyboard is called so."""
        return str(self.page.evaluate(NAMED))

    def tab_to(self, name: str, key: str = "Tab") -> None:
        """Press Tab, or Shift+Tab, until what has the focus is called so."""
        passed = []
        for _ in range(FARTHEST):
            here = self.here()
            if here == name:
                return
            passed.append(here[:30])
            self.press(key)
        raise AssertionError(f"Tab does not lead to “{name}”; it passed {passed}")
