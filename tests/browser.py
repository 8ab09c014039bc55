"""The browser that looks at pages: the system's own chromium; without one its tests are skipped, and loudly so."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NEEDED = "KIT_NEED_BROWSER"  # set where its absence is a failure, as in .ci/run
NAMES = ("chromium", "chromium-browser", "google-chrome")
LACKING = "no chromium here: nobody looked at the report's page (apt-get install chromium)"


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless browser. Skips the test where there is none, or fails it where one is needed."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        if os.environ.get(NEEDED):
            pytest.fail(LACKING)
        pytest.skip(LACKING)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tools:  # root may not have a sandbox, and the page is our own
        instance = tools.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield instance
        finally:
            instance.close()
