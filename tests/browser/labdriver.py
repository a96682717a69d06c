"""Drive JupyterLab as a reader does: real mouse and keyboard, and waits for facts, not for seconds."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# The waits ask the running application itself, which `--expose-app-in-browser` puts at window.jupyterapp.
# A panel is found by its path: `shell.currentWidget` is null while a dialog or the launcher has the focus.
_FIND = """
  const app = window.jupyterapp;
  const find = (path) => [...app.shell.widgets('main')].find(w => w.context?.path === path);
"""

_OPEN = "async (path) => {" + _FIND + """
  await app.restored;
  await app.commands.execute('docmanager:open', {path, factory: 'Notebook'});
  const panel = find(path);
  await panel.revealed;
  await panel.context.ready;
  await panel.sessionContext.ready;
  const kernel = panel.sessionContext.session?.kernel;
  if (!kernel) throw new Error('no kernel');
  await kernel.info;
  app.shell.activateById(panel.id);      // the launcher may have opened on top meanwhile
  return kernel.id;
}"""

_RUN_ALL = "async ([path, wait]) => {" + _FIND + """
  const panel = find(path);
  app.shell.activateById(panel.id);
  const done = app.commands.execute('notebook:run-all-cells');   // resolves when the last cell is done
  if (!wait) return [];
  await done;
  const bad = [];
  panel.content.widgets.forEach((cell, i) => {
    if (cell.model.type !== 'code') return;
    for (let k = 0; k < cell.model.outputs.length; k++) {
      const output = cell.model.outputs.get(k).toJSON();
      if (output.output_type === 'error') bad.push(`cell ${i}: ${output.ename}: ${output.evalue}`);
    }
  });
  return bad;
}"""

_RUN_CODE = "async ([path, code, wait]) => {" + _FIND + """
  const kernel = find(path).sessionContext.session.kernel;
  const future = kernel.requestExecute({code, store_history: false});
  let text = '';
  future.onIOPub = (message) => { if (message.header.msg_type === 'stream') text += message.content.text; };
  if (!wait) { future.done.catch(() => {}); return ''; }
  const reply = await future.done;
  if (reply.content.status !== 'ok') throw new Error(`${reply.content.ename}: ${reply.content.evalue}`);
  return text;
}"""

_THEME = """async (dark) => {
  const app = window.jupyterapp;
  await app.restored;
  if ((document.body.dataset.jpThemeLight === 'false') === dark) return;
  const theme = dark ? 'JupyterLab Dark' : 'JupyterLab Light';
  await app.commands.execute('apputils:change-theme', {theme});
}"""

# JupyterLab lays its panels out, and parts of explorer themselves, some frames after the window has its size.
_AT_REST = """async () => {
  const places = () => JSON.stringify([...document.querySelectorAll('.jp-Cell-outputArea *')].map((node) => {
    const box = node.getBoundingClientRect();
    return [box.left, box.top, box.width, box.height];
  }));
  let before = '', same = 0;
  while (same < 4) {
    await new Promise((done) => setTimeout(done, 40));
    await new Promise(requestAnimationFrame);
    const now = places();
    same = now === before ? same + 1 : 0;
    before = now;
  }
}"""

# Charts follow their panel's width a frame or two later, so what sticks out must still do so after a while.
_STICKING_OUT = """async (el, [kinds, but]) => {
    const outside = () => {
      const {left, right} = el.closest('.vx-dashboard').getBoundingClientRect();
      return [...el.querySelectorAll(kinds)]
        .filter(n => (n.offsetParent !== null || n.tagName === 'svg') && !(but && n.closest(but)))
        .filter(n => {
          const box = n.getBoundingClientRect();
          return box.width && (box.right > right + 1 || box.left < left - 1);
        })
        .map(n => n.outerHTML.slice(0, 90));
    };
    for (let i = 0; i < 50 && outside().length; i++) {
      await new Promise((done) => setTimeout(done, 40));
      await new Promise(requestAnimationFrame);
    }
    return outside();
}"""

_GO_TO = "async ([path, index]) => {" + _FIND + """
  const notebook = find(path).content;
  notebook.activeCellIndex = index;
  await notebook.scrollToItem(index);
}"""

_RESTART = "async (path) => {" + _FIND + """
  const {session} = find(path).sessionContext;
  await session.kernel.restart();
  await session.kernel.info;
}"""

_SAVE = "async (path) => {" + _FIND + " await find(path).context.save(); }"


THEMES = "@jupyterlab/apputils-extension:themes"


def sticking_out(panel: Any, kinds: str, but: str = "") -> list[str]:
    """The elements of these kinds that reach past the edges of their dashboard, and stay there.
    kinds, but: CSS selectors; what lies in one of `but` may.
    """
    return panel.evaluate(_STICKING_OUT, [kinds, but])


# A canvas, since a colour may be written as rgba(...) and, where it was mixed, as color(srgb ...).
_INK = """(el, paint) => {
    const pen = document.createElement('canvas').getContext('2d');
    pen.fillStyle = getComputedStyle(el)[paint];
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
}"""


def ink_of(place: Any, paint: str = "color") -> list[int]:
    """[red, green, blue] in 0..255. paint: "color", "fill" or "backgroundColor" of an element."""
    return place.evaluate(_INK, paint)


class Lab:
    """One page of JupyterLab over a folder of notebooks."""

    def __init__(self, page, url: str, root: Path, settings_dir: Path):
        self.page, self.url, self.root, self.settings_dir = page, url, root, settings_dir
        self.kernel_id: str | None = None
        self.kernels: set[str] = set()
        self.paths: set[str] = set()
        self.path = ""

    def start(self) -> None:
        """Load JupyterLab in a workspace of its own, so that no tab of the test before is restored."""
        # letters and digits only: a dot in the name gives a "Path Not Found" dialog
        self.page.goto(f"{self.url}/lab/workspaces/t{uuid.uuid4().hex[:8]}?reset")
        self.page.wait_for_function("() => window.jupyterapp !== undefined")

    def open(self, notebook: Path) -> str:
        """Copy a notebook into the server's folder, open it and wait for its kernel, whose id it gives."""
        target = self.root / notebook.name
        if notebook.resolve() != target.resolve():
            shutil.copy(notebook, target)
        self.path = notebook.name
        self.start()
        return self.attach()

    def open_cells(self, *sources: str, name: str = "test.ipynb") -> str:
        """Open a notebook of these code cells."""
        import nbformat

        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        notebook = nbformat.v4.new_notebook(cells=cells)
        kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
        notebook.metadata["kernelspec"] = kernel
        nbformat.write(notebook, self.root / name)
        return self.open(self.root / name)

    def reload(self) -> str:
        """Reload the page and come back to the same kernel, which runs on. Save first, or the page asks."""
        self.page.reload()
        self.page.wait_for_function("() => window.jupyterapp !== undefined")
        return self.attach()

    def restart_kernel(self) -> None:
        """Restart the notebook's kernel as the menu does; its outputs stay."""
        self.page.evaluate(_RESTART, self.path)

    def attach(self) -> str:
        """Open the notebook in the page at hand and wait for its kernel."""
        self.kernel_id = self.page.evaluate(_OPEN, self.path)
        self.kernels.add(self.kernel_id)
        self.page.locator(".jp-NotebookPanel:visible .jp-Cell").first.wait_for()
        return self.kernel_id

    def run_all(self, wait: bool = True) -> None:
        """Run every cell; fails with the cell's number and message if one ends in an error."""
        bad = self.page.evaluate(_RUN_ALL, [self.path, wait])
        assert bad == [], "; ".join(bad)

    def run_code(self, code: str, wait: bool = True) -> str:
        """Run code in the notebook's kernel without a cell; what it prints. Asks what a click did."""
        return self.page.evaluate(_RUN_CODE, [self.path, code, wait])

    def expect_code(self, code: str, printed: str, seconds: float = 10) -> None:
        """Run code until it prints that. What a reader does and what a cell asks reach the kernel in two
        threads, so right behind a click a cell may see what was before.
        """
        end = time.monotonic() + seconds
        while (said := self.run_code(code)) != printed:
            assert time.monotonic() < end, f"{code} still prints {said!r}, not {printed!r}"
            time.sleep(0.1)

    @property
    def outputs(self):
        """All outputs. Search in here: `page.get_by_text` also finds the cells' source code."""
        return self.page.locator(".jp-NotebookPanel:visible .jp-Cell-outputArea")

    def cell(self, index: int):
        return self.page.locator(f".jp-NotebookPanel:visible .jp-Cell[data-windowed-list-index='{index}']")

    def go_to(self, index: int):
        """The cell, scrolled to where it is seen: of a long notebook the page holds those in sight alone."""
        self.page.evaluate(_GO_TO, [self.path, index])
        self.cell(index).scroll_into_view_if_needed()
        return self.cell(index)

    def rewrite(self, index: int, source: str) -> None:
        """Put other code into a cell and run it, as a reader does: click, select all, write, Shift+Enter."""
        self.go_to(index).locator(".cm-content").click()
        self.page.keyboard.press("ControlOrMeta+A")
        self.page.keyboard.insert_text(source)
        self.page.keyboard.press("Shift+Enter")

    def save(self) -> dict[str, Any]:
        """Save as the menu does; what is then on the disk."""
        self.page.evaluate(_SAVE, self.path)
        return json.loads((self.root / self.path).read_text(encoding="utf-8"))

    @contextlib.contextmanager
    def setting(self, plugin: str, key: str, value: Any) -> Iterator[None]:
        """Change a setting for the pages opened inside the block; it lives on the server, hence the way back.

        lab.setting("@jupyterlab/apputils-extension:themes", "theme", "JupyterLab Dark")
        """
        file = self.settings_dir / (plugin.replace(":", "/") + ".jupyterlab-settings")
        before = file.read_text(encoding="utf-8") if file.exists() else None
        known = json.loads(re.sub(r"^\s*//.*$", "", before or "{}", flags=re.MULTILINE))  # with its notes
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({**known, key: value}), encoding="utf-8")
        try:
            yield
        finally:
            file.write_text(before, encoding="utf-8") if before is not None else file.unlink()

    def dark(self):
        """The dark theme, for the pages opened inside the block."""
        return self.setting(THEMES, "theme", "JupyterLab Dark")

    def theme(self, dark: bool) -> None:
        """Change the theme of the page at hand, as the menu does; the server keeps it for later pages too."""
        self.page.evaluate(_THEME, dark)
        self.page.wait_for_function("dark => (document.body.dataset.jpThemeLight === 'false') === dark",
                                    arg=dark)

    def look(self, width: int, dark: bool) -> None:
        """Show the page at hand at another width and in one of the themes, and wait until it is at rest."""
        self.page.set_viewport_size({"width": width, "height": 900})
        self.theme(dark)
        self.page.evaluate(_AT_REST)
        for view in self.outputs.all():
            assert view.bounding_box()["width"] <= width

    def adopt(self, path: str) -> None:
        """Close the kernel of a notebook that was opened in another way than by `open`, too."""
        self.paths.add(path)

    def close(self) -> None:
        """Shut the own kernels down over REST: quicker and surer than through the menus."""
        with urllib.request.urlopen(self.url + "/api/sessions") as answer:
            sessions = [one for one in json.load(answer)
                        if one["kernel"]["id"] in self.kernels or one["path"] in self.paths]
        for session in sessions:
            request = urllib.request.Request(f"{self.url}/api/sessions/{session['id']}", method="DELETE")
            urllib.request.urlopen(request).close()
