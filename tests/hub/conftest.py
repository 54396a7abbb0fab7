"""The hub's tests look at their pages with the browser tests' Chromium."""

from tests.browser.conftest import browser, context  # noqa: F401
