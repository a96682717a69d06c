"""What weak eyes and a screen reader meet in a dashboard, as axe-core finds it (WCAG 2, A and AA)."""

from __future__ import annotations

import pytest

from explorer.widgets.dashboard import TABS

# The panels behind the tabs one under the other: axe walks the page twice instead of twice a tab.
# JupyterLab's body is no pixel tall, and its notebook scrolls: axe takes what such a box would cut off for
# hidden, and asks nothing of its colours. So nothing around the dashboard cuts anything off.
_UNFOLD = """el => {
  const hidden = el.querySelectorAll('.widget-tab-contents > .lm-mod-hidden');
  hidden.forEach((panel) => panel.classList.remove('lm-mod-hidden'));
  for (let around = el; around; around = around.parentElement) around.style.overflow = 'visible';
  return hidden.length;
}"""
# What would be reached with Tab out of the order in which it is read.
_REACHED = """el => [...el.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')]
  .filter((one) => one.tabIndex > 0).map((one) => one.outerHTML.slice(0, 120))"""


_SCHEMES = "el => [...el.querySelectorAll('.vx-part')].map((one) => getComputedStyle(one).colorScheme)"


@pytest.fixture(scope="module")
def unfolded(one_lab):
    """A dashboard with the picker open, a guide, and what is behind every tab."""
    one_lab.open_cells("import explorer\ndash = explorer.Dashboard()\ndash")
    one_lab.run_all()
    one_lab.run_code("dash.wait()")
    view = one_lab.page.locator(".vx-dashboard")
    for title, _ in TABS:
        view.get_by_role("tab", name=title, exact=True).click()
    one_lab.run_code("for panel in dash.explain.panels.values():\n"
                     "    panel.seen(True)\n"
                     "    panel.layout.display = ''\n"
                     "    panel.wait()")
    view.locator(".vx-model-line").click()
    view.locator(".vx-tools-ask-guide").first.click()
    view.locator(".vx-picker select").first.wait_for()
    assert view.evaluate(_UNFOLD) == len(TABS) - 1
    return one_lab


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_tab_can_be_read(unfolded, axe, dark):
    unfolded.theme(dark)
    assert "\n".join(axe(unfolded.page)) == ""
    view = unfolded.page.locator(".vx-dashboard")
    assert view.evaluate(_REACHED) == [], "no order but the reading order"
    schemes = view.evaluate(_SCHEMES)
    assert set(schemes) == {"dark" if dark else "light"}, "scroll bars and menus go with the theme"
    assert unfolded.page.js_errors == []


def test_nothing_moves_for_a_reader_who_asked_for_less_motion(unfolded):
    view = unfolded.page.locator(".vx-dashboard")  # `fresh_page` asks for less
    turning = view.evaluate("""el => {
      const busy = el.appendChild(document.createElement('span'));
      busy.className = 'vx-busy';
      const found = getComputedStyle(busy, '::before');
      const said = [found.content, found.animationName];
      busy.remove();
      return said;
    }""")
    assert turning == ['""', "none"]


def test_axe_sees_what_is_wrong_and_reads_mixed_colours(unfolded, axe):
    view = unfolded.page.locator(".vx-dashboard")
    view.evaluate("""el => el.insertAdjacentHTML('beforeend', `<p class=bad><img src="data:,">
      <span style="color: color-mix(in srgb, var(--vx-ink) 30%, transparent);
      background: var(--vx-back2)">pale</span></p>`)""")
    assert sorted(one.split(":")[0] for one in axe(unfolded.page, ".bad")) == ["color-contrast", "image-alt"]
    view.evaluate("el => el.querySelector('.bad').remove()")
