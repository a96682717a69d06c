"""The dashboard with nets of one's own: layers that run several times (case A4), one map, none (case C2)."""

from __future__ import annotations

import pytest
from torch import nn

import explorer
from explorer.widgets.gallery import Gallery
from explorer.widgets.panels.inside.panel import InsidePanel
from tests.inspection.small_models import noise_photo
from tests.models.samples import CifarNet, net_without_maps

CLASSIFIER = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
NETS = {
    "several": (CifarNet, ["relu", "pool", "relu:2", "pool:2"]),
    "one": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), *CLASSIFIER), ["1"]),
    "none": (lambda: net_without_maps().module, []),
}


@pytest.mark.parametrize("net", NETS)
def test_every_tab_and_every_view_inside_shows_what_there_is_or_says_what_is_missing(net):
    make, stages = NETS[net]
    dash = explorer.Dashboard(make(), images=[noise_photo(40, 40)], input_size=(3, 32, 32))
    try:
        dash.wait()
        assert [*dash.session.look.stages] == [*dash.stages.stage.options] == stages
        for number, tab in enumerate(dash.tabs.children):
            dash.tabs.selected_index = number
            assert getattr(tab, "wait", lambda: True)()
        dash.session.gallery = Gallery([("noise", noise_photo(40, 40))])
        inside = InsidePanel(dash.session)
        inside.build()
        for _, view in inside.view.options:
            inside.view.value = view
            assert inside.wait()
            assert not any(word in inside.block.problem.value for word in ("Error", "object has no"))
        inside.close()
        page = dash.snapshot().data
        assert all(f"{stage}:" in page for stage in stages) and "slice step" not in page
    finally:
        dash.close()


def test_a_stage_is_chosen_by_its_call():
    dash = explorer.Dashboard(CifarNet(), images=[noise_photo(40, 40)], input_size=(3, 32, 32))
    try:
        dash.wait()
        for stage, channels in (("pool", 6), ("pool:2", 16)):
            dash.stages.stage.value = stage
            assert len(dash.session.look.stages[stage]) == channels
            assert f'"{stage}"' in dash.stages.code().replace("'", '"')
    finally:
        dash.close()
