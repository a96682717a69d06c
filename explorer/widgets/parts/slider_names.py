"""Names for the sliders of a dashboard, which ipywidgets gives none that a screen reader could say."""

from __future__ import annotations

from .base import ExplorerPart


class SliderNames(ExplorerPart, files="slider_names"):
    """Shows nothing: the words beside each slider of the dashboard it stands in become that slider's name."""

    def __repr__(self) -> str:
        return "SliderNames()"
