"""A Ray cluster on this computer, of one node or two, and what runs on it."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

import explorer
from explorer.models.contract import VisionModel

SIZE = (3, 32, 32)
# By itself Ray takes up to half a minute until it believes that a node is lost. One whose process has ended
# refuses the connection and is lost after three questions; one that is only slow has five seconds for each.
HEALTH = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 500,
          "health_check_timeout_ms": 5000, "health_check_failure_threshold": 3}
SMALL_NODE = {"include_dashboard": False, "object_store_memory": 80 * 2**20}


class Nodes:
    """A head with two CPUs, where this process lives, and at times another node with one, to be lost."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self.folder = tempfile.mkdtemp(prefix="ray-")
        # Where Ray notes the newest cluster's address.
        os.makedirs(os.path.join(tempfile.gettempdir(), "ray"), exist_ok=True)
        self.cluster = Cluster(initialize_head=True,
                               head_node_args={"num_cpus": 2, "temp_dir": self.folder, "no_monitor": True,
                                               "include_log_monitor": False, "_system_config": HEALTH,
                                               **SMALL_NODE})
        self.other: Any = None
        self.held: Any = None

    def with_another(self) -> None:
        """Two workers will be on two nodes: the head's second CPU is held back until the other is lost."""
        from ray.util import placement_group

        assert self.other is None
        self.held = placement_group([{"CPU": 1}])
        assert self.held.wait(30)
        self.other = self.cluster.add_node(num_cpus=1, wait=True, **SMALL_NODE)

    def lose_the_other_at_work(self) -> None:
        """Kill it when its CPU is taken, without a word to anybody."""
        from ray._private.state import available_resources_per_node

        end = time.monotonic() + 30
        while available_resources_per_node()[self.other.node_id].get("CPU", 0) >= 1:
            assert time.monotonic() < end, "the other node is not at work"
            time.sleep(0.05)
        self.cluster.remove_node(self.other, allow_graceful=False)
        self.other = None
        self.let_go()

    def let_go(self) -> None:
        """The head has two CPUs again."""
        from ray.util import remove_placement_group

        if self.held is not None:
            remove_placement_group(self.held)
            self.held = None


@pytest.fixture(scope="package")
def nodes() -> Iterator[Nodes]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")  # a process that these tests don't need
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)  # or Ray would leave one in this user's home
    ray = pytest.importorskip("ray", reason="Ray, of the extra 'cluster', is not installed")
    nodes = Nodes()
    ray.init(address=nodes.cluster.address, log_to_driver=False, logging_level="ERROR")
    yield nodes
    ray.shutdown()
    nodes.cluster.shutdown()
    shutil.rmtree(nodes.folder, ignore_errors=True)


def small_net(seed: int = 0, in_chans: int = 3) -> VisionModel:
    """Few numbers, but with BatchNorm, which sees photos together."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(in_chans, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, 2),
                        nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                        nn.Linear(16, 3))
    return explorer.wrap(net, input_size=(in_chans, *SIZE[1:]))
