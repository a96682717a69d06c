"""Tests in a real JupyterLab in a real Chromium: one server and one browser a run, one page a test."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.browser.labdriver import Lab
from tests.browser.server import CHROMIUM_ARGS, find_chromium, serving


@pytest.fixture
def expect():
    """playwright's assertions, which try again."""
    return pytest.importorskip("playwright.sync_api").expect


@pytest.fixture(scope="session")
def lab_server(browser, jupyter_env, tmp_path_factory):
    """(URL, folder, settings folder) of this run's own JupyterLab. Its kernels are this interpreter's."""
    # `browser` comes first, so that no server starts where the tests are skipped
    root = tmp_path_factory.mktemp("notebooks")
    with serving(jupyter_env, root, root.parent / "lab.log") as server:
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


@pytest.fixture
def page(browser, request, tmp_path):
    """A page that collects errors in `page.js_errors`, and leaves a picture where a test fails."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, device_scale_factor=1,
                                  reduced_motion="reduce", permissions=["camera"])
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.js_errors = errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    # Errors of widgets reach the console only: the widget manager catches them.
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield page
    if getattr(request.node, "failed", False):
        shots = Path(os.environ.get("EXPLORER_SHOTS", tmp_path))
        shots.mkdir(parents=True, exist_ok=True)
        picture = shots / (re.sub(r"[^\w.-]+", "_", request.node.name) + ".png")
        page.screenshot(path=picture)
        print(f"screenshot: {picture}; console errors: {errors}")
    context.close()


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
