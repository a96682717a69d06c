"""Tests in a real JupyterLab in a real Chromium: one server and one browser a run, one page a test."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.forking import forked_kernels
from tests.browser.labdriver import THEMES, Lab
from tests.browser.server import CHROMIUM_ARGS, find_chromium, serving

# What weak eyes and a screen reader meet, as axe-core finds it (WCAG 2, A and AA).
RULES = {"runOnly": ["wcag2a", "wcag2aa"], "resultTypes": ["violations", "incomplete"]}
# What axe can't decide is looked at too, but for these, with the reason.
OPEN = {"color-contrast": "words over a photo or a map have no one background"}


@pytest.fixture
def expect():
    """playwright's assertions, which try again."""
    return pytest.importorskip("playwright.sync_api").expect


@pytest.fixture(scope="session")
def forked_env(browser, jupyter_env, tmp_path_factory):
    """`jupyter_env` with kernels that are there in no time."""
    # `browser` comes first, so that no process starts where the tests are skipped
    with forked_kernels(jupyter_env, tmp_path_factory.mktemp("forked")) as env:
        yield env


@pytest.fixture(scope="session")
def lab_server(forked_env, tmp_path_factory):
    """(URL, folder, settings folder) of this run's own JupyterLab. Its kernels are this interpreter's."""
    root = tmp_path_factory.mktemp("notebooks")
    with serving(forked_env, root, root.parent / "lab.log") as server:
        yield server


@pytest.fixture(scope="session")
def browser():
    """One headless Chromium; skips where there is none."""
    why = "playwright is missing: pip install -e '.[test]'"
    playwright = pytest.importorskip("playwright.sync_api", reason=why)
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("Chromium is missing: apt-get install chromium, or name one in EXPLORER_CHROMIUM")
    playwright.expect.set_options(timeout=20_000)  # the default of 5 s is short for two busy cores
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, headless=True, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


@contextlib.contextmanager
def fresh_page(browser) -> Iterator[Any]:
    """A page that collects errors in `page.js_errors`."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, device_scale_factor=1,
                                  reduced_motion="reduce", permissions=["camera"])
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.js_errors = errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    # Errors of widgets reach the console only: the widget manager catches them.
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield page
    context.close()


@pytest.fixture
def page(browser):
    """A page of its own for a test."""
    with fresh_page(browser) as page:
        yield page


@pytest.fixture(autouse=True)
def picture_of_a_failure(request, tmp_path):
    """Where a test fails, its page leaves a picture."""
    names = [name for name in ("page", "one_lab") if name in request.fixturenames]
    shown = [request.getfixturevalue(name) for name in names]
    yield
    if not getattr(request.node, "failed", False):
        return
    folder = Path(os.environ.get("EXPLORER_SHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(shown):
        page = getattr(one, "page", one)
        name = re.sub(r"[^\w.-]+", "_", request.node.name) + (f"_{number}" if number else "")
        page.screenshot(path=folder / f"{name}.png")
        print(f"screenshot: {folder / name}.png; console errors: {page.js_errors}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call":
        item.failed = report.failed
    return report


@pytest.fixture
def lab(lab_server, page):
    """JupyterLab in a fresh page: `lab.open(path)`, `lab.run_all()`, then `lab.outputs` and `lab.page`."""
    driver = Lab(page, *lab_server)
    yield driver
    driver.close()


@pytest.fixture(scope="module")
def one_lab(lab_server, browser):
    """JupyterLab in one page for all tests of a file that ask for it: those that look at one notebook at
    several widths and in both themes (`one_lab.look(width, dark)`). They come last in their file.
    """
    with fresh_page(browser) as page:
        driver = Lab(page, *lab_server)
        with driver.setting(THEMES, "theme", "JupyterLab Light"):  # and so again at the end
            yield driver
        driver.close()


@pytest.fixture(scope="module")
def axe():
    """(page, a selector) -> what is wrong in there: "rule: where it is: why"."""
    playwright = pytest.importorskip("axe_playwright_python.sync_playwright")
    checker = playwright.Axe()

    def wrong(page, inside: str = ".vx-dashboard") -> list[str]:
        found = checker.run(page, {"include": [[inside]]}, RULES).response
        unsure = [rule for rule in found["incomplete"] if rule["id"] not in OPEN]
        return [f"{rule['id']}: {node['html'][:160]}: {node['failureSummary']}"
                for rule in (*found["violations"], *unsure) for node in rule["nodes"]]

    return wrong
