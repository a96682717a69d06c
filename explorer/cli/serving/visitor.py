"""What each visitor's kernel runs: one dashboard, in a folder of the visitor's own."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from html import escape
from pathlib import Path
from typing import Any

NOTEBOOK = "explorer.ipynb"  # the page's title, too


def write_notebook(folder: Path, *, photos: Path | None, model: str) -> Path:
    """The notebook that Voilà serves, in `folder`, which is private: one cell, which opens the dashboard."""
    given = {"photos": photos and str(photos), "model": model, "scratch": str(folder)}
    # ascii: a name may hold quotes, line breaks and broken bytes
    words = ", ".join(f"{name}={value!a}" for name, value in given.items())
    cell = {"id": "dashboard", "cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None,
            "source": f"from {__name__} import open_dashboard\n\nopen_dashboard({words})"}
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    notebook = folder / NOTEBOOK
    notebook.write_text(json.dumps({"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4,
                                    "nbformat_minor": 5}), encoding="ascii")
    return notebook


def open_dashboard(*, photos: str | None, model: str, scratch: str) -> Any:
    """The dashboard of a new visitor; where it can't be had, the sentence that says why.

    scratch: a folder in which the visitor gets one. What is trained, saved under a plain name, or collected
             with the camera lies there, seen by no other visitor, and goes with the kernel
    """
    from IPython.display import HTML

    from explorer.cli.given import is_folder
    from explorer.cli.printing import sentence_for

    own = tempfile.mkdtemp(prefix="visitor-", dir=scratch)
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    os.chdir(own)
    os.environ["XDG_DATA_HOME"] = own  # the photos of a Teach tab, or another visitor would be offered them
    try:
        from explorer.widgets.dashboard import Dashboard

        if is_folder(model):
            from explorer.training.run.loading import load_run

            return Dashboard(load_run(model).model, images=photos)
        return Dashboard(model, images=photos)
    except Exception as error:
        return HTML(f"<p>{escape(sentence_for(error))}</p>")
