"""A model that gives a number, as a reader meets it: table of photos, training, a photo's number, judging."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

CELL = """
import explorer, torch
from pathlib import Path
from tests.number_photos import bright, table, Tiny
data = table(Path({folder!r}), bright(60, side=48))
torch.manual_seed(0)
dash = explorer.Dashboard(explorer.wrap(Tiny(5), input_size=(3, 48, 48)))
dash
"""


def picture(page, name: str) -> None:
    """Kept for somebody to look at, where EXPLORER_SHOTS names a folder."""
    if folder := os.environ.get("EXPLORER_SHOTS"):
        page.locator(".vx-dashboard").screenshot(path=Path(folder) / f"{name}.png")


@pytest.mark.parametrize(("width", "dark"), [(1400, False), (480, True)], ids=["wide", "narrow and dark"])
def test_a_number_is_learnt_from_a_table_shown_and_judged(lab, expect, tmp_path, width, dark):
    lab.page.set_viewport_size({"width": width, "height": 1000})
    with lab.dark() if dark else contextlib.nullcontext():
        lab.open_cells(CELL.format(folder=str(tmp_path / "levels")))
        lab.run_code(f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})")
        lab.run_all()
        view = lab.page.locator(".vx-dashboard")
        expect(view.locator(".vx-predictions li").first).to_be_visible(timeout=60_000)
        view.get_by_role("tab", name="Train").click()
        train = view.locator(".vx-train")
        train.get_by_label("Data set", exact=True).select_option(label="a folder or table (CSV) of your own")
        folder = train.get_by_label("Path", exact=True)
        folder.fill(str(tmp_path / "levels" / "table.csv"))
        folder.press("Enter")
        expect(train.locator(".vx-data")).to_contain_text("level")
        picture(lab.page, f"data-{width}")
        train.get_by_label("What learns", exact=True).select_option("everything")
        for label, value in {"Epochs": "12", "Learning rate": "0.05"}.items():
            field = train.get_by_label(label, exact=True)
            field.fill(value)
            field.press("Enter")
        train.get_by_role("button", name="Start", exact=True).click()
        run = train.locator(".vx-run")
        expect(run.locator(".vx-run-line")).to_contain_text("Finished", timeout=60_000)
        expect(run.locator(".vx-run-line")).to_contain_text("MAE")
        picture(lab.page, f"train-{width}")

        run.get_by_role("button", name="Use this model").click()
        expect(view.locator(".vx-answers").first).to_contain_text("level")
        view.get_by_role("tab", name="Evaluate").click()
        judged = view.locator(".vx-eval")
        judged.get_by_role("button", name="Evaluate", exact=True).click()
        expect(judged).to_contain_text("R²", timeout=60_000)
        picture(lab.page, f"evaluate-{width}")
        wide = view.evaluate("el => el.scrollWidth - el.clientWidth")
        assert wide <= 1, "nothing reaches past the dashboard's edge"
        assert lab.page.js_errors == []
