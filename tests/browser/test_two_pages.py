"""One home behind two servers and two tabs: what is done on one page is seen on the other without a reload."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from imgcls_lab.schemas import SubmitRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from tests.browser.conftest import Desk, Lab

pytestmark = [pytest.mark.browser]


@pytest.fixture
def second(lab: Lab) -> Iterator[Lab]:
    """Another server on the home of the first."""
    folder = lab.folder.parent / "second"
    folder.mkdir()
    other = Lab(folder)
    other.home, other.datasets = lab.home, lab.datasets
    try:
        other.start()
        yield other
    finally:
        other.close()


def test_two_servers_and_two_tabs_of_one_home_show_the_same(
    desk: Desk, lab: Lab, second: Lab, browser: Browser
) -> None:
    with Store.open(Settings(home=str(lab.home))) as store:
        config = {"root": "/data/x", "model_flavour": "a/b"}
        run = store.runs.submit(SubmitRequest(config=config, name="waits", host="nowhere")).id
    tab = Desk(desk.page.context.new_page(), lab)
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    other = Desk(context.new_page(), second)
    pages = [desk, tab, other]
    for page in pages[1:]:
        page.open(reset=False) if page is tab else page.open()
    for page in pages:
        page.open_panel().locator(f"[data-run='{run}']").first.click()
        expect(page.run_page("queued")).to_contain_text("waits")
    other.main.get_by_role("button", name="Cancel", exact=True).click()
    for page in pages:
        page.run_page("cancelled")
        assert page.errors == []
    context.close()
