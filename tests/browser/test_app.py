"""`vision-explorer app`: two visitors at once, each with a dashboard and nothing else.

One server for all; each test is about the two pages that are open, or about what else can be asked for.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from explorer.data.samples import assets_dir
from tests.browser.conftest import fresh_page
from tests.browser.server import heeds_ctrl_c

PHOTOS = ("daisy", "espresso", "pizza")


@dataclass
class Served:
    """The running app. asked: the addresses that the two pages have asked for."""

    address: str
    token: str
    process: subprocess.Popen
    temporary: Path
    log: Path
    asked: list[str] = field(default_factory=list)

    def kernels(self) -> list[int]:
        """The process number of each."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]


@pytest.fixture(scope="module")
def served(forked_env, tmp_path_factory):
    """Two visitors at most; the photos' folder has a name that would end a line of Python."""
    folder = tmp_path_factory.mktemp("app")
    photos, temporary = folder / "'); raise SystemExit\n# \" photos", folder / "temporary"
    photos.mkdir()
    temporary.mkdir()
    for name in PHOTOS:
        shutil.copy(assets_dir() / "photos" / f"{name}.jpg", photos)
    command = [sys.executable, "-m", "explorer", "app", "--photos", str(photos), "--visitors", "2",
               "--no-browser"]
    log = folder / "log"
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT,
                                   env={**forked_env, "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"},
                                   preexec_fn=heeds_ctrl_c)
    try:
        while not (said := re.search(r"(http\S+/)\?token=(\S+)\n.*\n", log.read_text())):
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield Served(said[1], said[2], process, temporary, log)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, log.read_text()
        assert len(log.read_text().splitlines()) == 2, "the terminal says where it is, and no more"
        assert list(temporary.glob("vision-explorer*")) == [], "nothing is left behind"
    finally:
        process.kill()


@pytest.fixture(scope="module")
def two(served, browser, playwright_expect):
    """The pages of two visitors, who come at the same time, with their dashboards."""
    with fresh_page(browser) as one, fresh_page(browser) as other:
        for page in (one, other):
            page.on("request", lambda request: served.asked.append(request.url))
            page.goto(f"{served.address}?token={served.token}", wait_until="commit")
        for page in (one, other):
            playwright_expect(answer(page)).not_to_be_empty(timeout=90_000)
        yield one, other


@pytest.fixture(scope="module")
def playwright_expect():
    return pytest.importorskip("playwright.sync_api").expect


def answer(page: Any) -> Any:
    """What the model says first."""
    return page.locator(".vx-answers .vx-name").first


def until(true: Callable[[], bool]) -> None:
    """Wait for what comes sooner or later."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def kernel_of(page: Any) -> str:
    return json.loads(page.locator("#jupyter-config-data").text_content())["kernelId"]


def test_each_of_two_visitors_chooses_a_photo_of_the_folder_and_the_other_keeps_the_own(two, expect):
    one, other = two
    for page in two:
        expect(page.locator(".vx-gallery").get_by_role("option")).to_have_count(len(PHOTOS))
        expect(answer(page)).to_have_text("daisy")
    one.locator(".vx-gallery").get_by_role("option", name="espresso").click()
    expect(answer(one)).to_have_text("espresso")
    other.locator(".vx-gallery").get_by_role("option", name="pizza").click()
    expect(answer(other)).to_have_text("pizza")
    expect(answer(one)).to_have_text("espresso")
    assert one.js_errors == other.js_errors == []


def test_no_request_leaves_this_computer_and_the_pages_say_that_none_may(two, served):
    here = (served.address, f"blob:{served.address}", "data:")
    elsewhere = [url for url in served.asked if not url.startswith(here)]
    assert elsewhere == [] and len(served.asked) > 50
    policy = two[0].request.get(served.address, max_redirects=0).headers["content-security-policy"]
    assert "default-src 'self'" in policy and "connect-src 'self' data: blob: ws://127.0.0.1:" in policy


def test_a_page_can_not_send_code_to_its_kernel(two, served):
    page, made = two[0], served.temporary / "made by a visitor"
    answered = page.evaluate("""([kernel, code]) => new Promise((done) => {
      const socket = new WebSocket(`ws://${location.host}/api/kernels/${kernel}/channels?session_id=test`);
      const send = (msg_type, content) => socket.send(JSON.stringify({channel: "shell", content, metadata: {},
        parent_header: {}, buffers: [], header: {msg_id: msg_type, msg_type, username: "", session: "test",
        date: new Date().toISOString(), version: "5.3"}}));
      const heard = [];
      socket.onopen = () => {
        send("execute_request", {code, silent: false, store_history: false, allow_stdin: false});
        send("kernel_info_request", {});
      };
      socket.onmessage = ({data}) => {
        const {msg_type} = JSON.parse(data).header;
        heard.push(msg_type);
        if (msg_type === "kernel_info_reply") { socket.close(); done(heard); }
      };
    })""", [kernel_of(page), f"open({str(made)!r}, 'w')"])
    assert "execute_reply" not in answered and "execute_input" not in answered and not made.exists()


@pytest.mark.parametrize("token", ["", "?token=wrong"])
def test_without_the_token_nobody_comes_in(served, page, token):
    kernels = served.kernels()
    answered = page.goto(served.address + token)
    assert answered.status == 403 and "take the whole address" in page.locator("body").inner_text()
    assert page.request.get(f"{served.address}api/kernels/{'0-' * 4}0").status == 403
    assert served.kernels() == kernels


def test_the_token_can_be_typed(served, two, page):
    page.goto(served.address)
    page.get_by_label("Token").fill(served.token)
    with page.expect_navigation():
        page.get_by_role("button", name="Come in").click()
    assert "All places are taken" in page.locator("body").inner_text()


def test_a_third_visitor_is_told_that_all_places_are_taken(served, two, page):
    answered = page.goto(f"{served.address}?token={served.token}")
    assert answered.status == 503
    assert "2 dashboards are open" in page.locator("body").inner_text() and "--visitors 4" in page.content()


def test_no_file_of_this_computer_can_be_asked_for(served, two):
    for path in ("explorer.ipynb", "voila/files/explorer.ipynb", "voila/files/..%2f..%2fetc/passwd",
                 "voila/tree", "voila/render/explorer.ipynb", "voila/api/contents", "api/contents",
                 "files/etc/passwd",
                 "voila/static/..%2fapp.py", "voila/templates/lab/static/..%2f..%2fbase/page.html",
                 "api/kernels", "?template=..%2f..%2fx"):
        answered = two[0].request.get(f"{served.address}{path}", max_redirects=0)
        assert answered.status >= 400, path
        assert "Traceback" not in answered.text() and "open_dashboard" not in answered.text(), path


def test_a_page_whose_kernel_has_ended_says_so_and_one_that_is_closed_ends_its_kernel(served, two, expect):
    """The last one of this file: both dashboards are over then."""
    one, other = two
    [ended] = [pid for pid in served.kernels() if kernel_of(one) in Path(f"/proc/{pid}/cmdline").read_text()]
    os.kill(ended, signal.SIGKILL)  # as a system does that has no memory left
    until(lambda: one.request.get(f"{served.address}api/kernels/{kernel_of(one)}").status == 404)
    one.evaluate("dispatchEvent(new Event('focus'))")
    expect(one.get_by_role("alert")).to_contain_text("This dashboard has ended")
    other.goto("about:blank")
    until(lambda: served.kernels() == [])
