"""Tests in a real JupyterLab in a real Chromium: one server and one browser a run, one page a test."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.browser.labdriver import Lab

CHROMIUM_ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--force-color-profile=srgb",
    # a made-up camera, granted without a question
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
]

# JupyterLab's settings, as if the user had chosen them.
LAB_SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},  # keep every cell in the DOM
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
    "@jupyterlab/apputils-extension/themes": {"theme": "JupyterLab Light", "adaptive-theme": False},
}


@pytest.fixture
def expect():
    """playwright's assertions, which try again."""
    return pytest.importorskip("playwright.sync_api").expect


def find_chromium() -> str | None:
    """EXPLORER_CHROMIUM, or the first Chromium or Chrome on the PATH."""
    chosen = os.environ.get("EXPLORER_CHROMIUM")
    names = [chosen] if chosen else ["chromium", "chromium-browser", "google-chrome", "chrome"]
    return next(filter(None, map(shutil.which, names)), None)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_http(url: str, process: subprocess.Popen, log: Path, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"{url} did not answer. The server's log ends in:\n{log.read_text()[-4000:]}")


@pytest.fixture(scope="session")
def lab_server(browser, jupyter_env, tmp_path_factory):
    """(URL, folder, settings folder) of this run's own JupyterLab. Its kernels are this interpreter's."""
    # `browser` comes first, so that no server starts where the tests are skipped
    root = tmp_path_factory.mktemp("notebooks")
    settings = Path(jupyter_env["JUPYTERLAB_SETTINGS_DIR"])
    for plugin, value in LAB_SETTINGS.items():
        file = settings / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(value), encoding="utf-8")
    port = int(os.environ.get("EXPLORER_LAB_PORT", 0)) or free_port()
    log = root.parent / "lab.log"
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
        "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0",
        "--IdentityProvider.token=", "--ServerApp.password=",
        f"--ServerApp.root_dir={root}", "--expose-app-in-browser", "--ServerApp.terminals_enabled=False",
        "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--ServerApp.disable_check_xsrf=True",
    ]
    with log.open("w") as out:
        process = subprocess.Popen(command, env=jupyter_env, cwd=root, stdout=out, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_http(url + "/api/status", process, log)
        yield url, root, settings
    finally:
        process.terminate()  # it ends its kernels, then itself
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


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
