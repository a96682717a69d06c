"""The network of a page as the bytes of an ONNX file, with what stands in it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from explorer.inspection.export.asking import export
from explorer.inspection.export.checking import photo_like
from explorer.inspection.export.facts import facts, preprocessing
from explorer.inspection.export.parts import Leaving, Portable, opened
from explorer.inspection.look.model import evaluating


def graph_of(leaving: Leaving, given: Any, maps: Any, precision: str) -> tuple[bytes, dict[str, Any]]:
    import torch

    with tempfile.TemporaryDirectory() as folder:
        file = export(given, Path(folder, "net.onnx"), maps=maps)
        prepared = preprocessing(leaving)
        with evaluating(leaving.model), torch.no_grad():
            results = Portable(leaving)(photo_like(prepared, 1))
        return file.read_bytes(), facts(leaving, prepared, results)


__all__ = ["graph_of", "opened"]
