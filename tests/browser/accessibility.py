"""What axe finds wrong on a page, as sentences: none is what tests want."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from playwright.sync_api import Page

AXE = Path(__file__).parents[2] / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
PAGE, SIDEBAR = ".imgcls-main", "#imgcls-lab-sidebar"
SERIOUS = {"serious", "critical"}
MODERATE = {"moderate", *SERIOUS}

# a TensorBoard's own page is not ours
RUN = """places => {
  const shown = place => [...document.querySelectorAll(place)].find(item => item.checkVisibility());
  const over = document.querySelector('dialog[open]');
  const found = places.map(place => (place === '.imgcls-main' && over) || shown(place));
  if (found.some(item => !item)) throw new Error(`nothing of ${places} is shown`);
  return axe.run({ include: found, exclude: [['iframe']] });
}"""


def faults(page: Page, *places: str, impacts: Collection[str] = MODERATE) -> list[str]:
    """What axe finds in the shown element of each selector, by default the tab in front, or a dialog over it."""
    if not page.evaluate("'axe' in window"):  # since the last load of the page
        page.evaluate(AXE.read_text())
    result = page.evaluate(RUN, [*(places or (PAGE,))])
    assert len(result["passes"]) > 10, "axe looked at next to nothing"
    return [
        f"{fault['id']} ({fault['impact']}): {node['html'][:200]}"
        for fault in result["violations"]
        if fault["impact"] in impacts
        for node in fault["nodes"]
    ]
