"""One run over several processes: each learns from its share of a batch, then gradients are averaged.

    torchrun --nproc-per-node 2 -m explorer.training tf_efficientnet_lite0 flowers5 --train all

All processes hold the whole network and walk through the same batches in the same order, which the seed
decides. Of a batch of 64 photos, two workers learn from 32 each. What a worker adds to the gradient is
weighted by its share, so that the sum is the gradient of the whole batch, also of a last one that can't be
halved. The optimizer then makes the same step in every process: `workers` times `batch_size` photos here are
one process with that larger batch.

Two things look at photos together and therefore see only the worker's own: BatchNorm while it learns (its
statistics are averaged before they are used or kept; `sync_batchnorm=True` makes it see the whole batch), and
Mixup and CutMix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from inspect import signature
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel
from torch.overrides import TorchFunctionMode

from explorer.display.words import is_out_of_memory
from explorer.models.contract import evaluation
from explorer.training.loop.aim import Batches, Judged
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.objective import Objective
from explorer.training.loop.recipe import Recipe
from explorer.training.loop.state import State
from explorer.training.loop.steps import mixed
from explorer.training.loop.team import Items, Learnt

BATCH_NORM = signature(F.batch_norm)


class Workers:
    """The `Team` of several processes, as one of them sees it, and all that they tell each other.

    rank: 0 .. world - 1;  worker 0 writes the checkpoints and tells the events
    sync_batchnorm: BatchNorm sees the whole batch: exact, at the price of two messages for every such layer
    device: this worker's, where it has a GPU
    Needs `torch.distributed.init_process_group` before. All workers call every method in the same order.
    """

    def __init__(self, *, sync_batchnorm: bool = False, device: torch.device | str = "cpu"):
        self.rank, self.world = dist.get_rank(), dist.get_world_size()
        self.sync_batchnorm = sync_batchnorm
        # NCCL carries numbers between GPUs only, gloo also between CPUs.
        self.device = torch.device(device if dist.get_backend() == "nccl" else "cpu")
        self._wrapped: tuple[nn.Module, DistributedDataParallel] | None = None

    @property
    def writes(self) -> bool:
        return self.rank == 0

    def share(self, items: Items) -> Items:
        """This worker's part of a batch, which may be empty: 5 items for 2 workers are 3 and 2."""
        size, more = divmod(len(items), self.world)
        start = self.rank * size + min(self.rank, more)
        return items[start:start + size + (self.rank < more)]

    def total(self, *numbers: float) -> list[float]:
        """The sum over all workers of each number."""
        values = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        dist.all_reduce(values)
        return values.tolist()

    def any(self, flag: bool) -> bool:
        """Whether it is so for one worker at least. All get the same answer, and act together."""
        return self.total(float(flag))[0] > 0

    def gather(self, parts: Sequence[Tensor], places: Sequence[range], count: int) -> Tensor:
        """Each worker's rows [n, D] and their places among all -> all rows [count, D], on the CPU."""
        width, holders = self.total(parts[0].shape[1] if parts else 0, bool(parts))  # a worker may have none
        rows = torch.zeros(count, round(width / holders), device=self.device)
        for part, place in zip(parts, places):
            rows[place.start:place.stop] = part.to(self.device)
        dist.all_reduce(rows)
        return rows.cpu()

    def average_statistics(self, state: State) -> None:
        """Give all workers the mean of their BatchNorm statistics: before these judge, or are kept."""
        for network in filter(None, (state.network, state.average)):
            for module in network.modules():
                if isinstance(module, _BatchNorm) and module.running_mean is not None:
                    for statistic in (module.running_mean, module.running_var):
                        # In float64 the mean of equal numbers is that number: frozen ones stay as they are.
                        mean = statistic.double()
                        dist.all_reduce(mean)
                        statistic.copy_(mean / self.world)
                    if module.num_batches_tracked is not None:  # worker 0 has a part of every batch
                        dist.broadcast(module.num_batches_tracked, 0)

    def learn(self, state: State, inputs: Tensor, targets: Tensor, recipe: Recipe, place: dict[str, Any],
              objective: Objective) -> Learnt:
        """Raises TrainingError where memory is too small: the others do not wait for pieces of a batch."""
        count = len(inputs)
        torch.manual_seed((torch.initial_seed() + self.rank) % 2**63)  # or all would drop the same features
        if not count:  # nothing left for this one; but its part in the averaging is waited for
            inputs, targets = inputs.new_zeros(1, *inputs.shape[1:]), targets.new_zeros(1, *targets.shape[1:])
        elif count > 1 and (recipe.mixup or recipe.cutmix):
            inputs, targets = mixed(inputs, targets, recipe, objective)
        inputs, targets = inputs.to(**place), targets.to(place["device"])
        weight = objective.weight(targets) if count else 0.0

        def judged(network: nn.Module) -> tuple[Tensor, Tensor]:
            statistics = (SharedStatistics(counts=bool(count)) if self.sync_batchnorm
                          else nullcontext() if count else evaluation(state.network))
            half = recipe.precision == "bfloat16"
            with torch.autocast(place["device"].type, torch.bfloat16, enabled=half), statistics:
                raw = network(inputs)
                loss = objective.loss(raw, targets)
            return loss, raw.detach()

        try:
            loss, raw = judged(self._parallel(state.network, judged))
            figure = objective.figure(raw, targets) if count else 0.0
            whole, loss_sum, figures, photos = self.total(weight, loss.item() * weight if count else 0.0,
                                                          figure, count)
            # The mean over the workers, which the backward pass takes, is then the gradient of the whole
            # batch's loss.
            (loss * (weight / whole * self.world / recipe.accumulate)).backward()
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise TrainingError(
                    f"There was not enough memory for {count} photos a worker. Give half the batch_size and "
                    f"accumulate={2 * recipe.accumulate}, which learns the same, or smaller "
                    "photos.") from error
            raise
        return Learnt(loss_sum / whole, figures, round(photos))

    def judge(self, state: State, batches: Batches, place: dict[str, Any],
              objective: Objective) -> Judged:
        """Each worker looks at a part of the photos to judge by."""
        self.average_statistics(state)
        loss, figure, count = self.total(*objective.judged_sums(state.judged_network, batches, place))
        return Judged(loss / max(count, 1), figure / max(count, 1))

    def _parallel(self, network: nn.Module,
                  judged: Callable[[nn.Module], tuple[Tensor, Tensor]]) -> nn.Module:
        """The network whose backward pass averages the gradients over the workers as soon as they are known.
        """
        if self._wrapped is None or self._wrapped[0] is not network:
            # A parameter without gradient, such as that of an auxiliary head, would be waited for in vain.
            # Looking for such ones takes time in every pass, so one pass finds out whether there are any.
            learning = [p for p in network.parameters() if p.requires_grad]
            kept = [buffer.clone() for buffer in network.buffers()]
            with torch.random.fork_rng():
                gradients = torch.autograd.grad(judged(network)[0], learning, allow_unused=True)
            with torch.no_grad():
                for buffer, before in zip(network.buffers(), kept):
                    buffer.copy_(before)
            unused = self.any(any(gradient is None for gradient in gradients))
            # Statistics are averaged when they are needed (see above), not sent around before every batch.
            renamed = "forward_sync_buffers" in signature(DistributedDataParallel).parameters
            quiet = {"forward_sync_buffers" if renamed else "broadcast_buffers": False}
            wrapped = DistributedDataParallel(network, find_unused_parameters=unused, **quiet)
            self._wrapped = network, wrapped
        return self._wrapped[1]


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all workers; what flows back is summed too, since all have used it."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        value = value.clone()
        dist.all_reduce(value)
        return value

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return gradient


class SharedStatistics(TorchFunctionMode):
    """While it lasts, every BatchNorm that learns takes mean and variance over the photos of all workers.

    Unlike torch.nn.SyncBatchNorm it needs no other layers in the network, and works on CPUs too.
    counts: False for a worker that has no photo of this batch
    """

    def __init__(self, *, counts: bool = True):
        super().__init__()
        self.counts = float(counts)

    def __torch_function__(self, function: Callable, types: Any, args: Sequence[Any] = (),
                           kwargs: dict | None = None) -> Any:
        if function is F.batch_norm:
            given = BATCH_NORM.bind(*args, **(kwargs or {}))
            given.apply_defaults()
            if given.arguments["training"]:
                return self._normalise(**given.arguments)
        return function(*args, **(kwargs or {}))

    def _normalise(self, input: Tensor, running_mean: Tensor | None, running_var: Tensor | None,
                   weight: Tensor | None, bias: Tensor | None, training: bool, momentum: float,
                   eps: float) -> Tensor:
        x = input
        others = [0, *range(2, x.ndim)]  # all dimensions but the channels
        shape = [1, -1, *[1] * (x.ndim - 2)]
        wide = x.float()
        number = x.new_full((1,), self.counts * x.numel() / x.shape[1], dtype=torch.float32)
        sums = _Sum.apply(torch.cat([wide.sum(others) * self.counts, number]))
        mean, count = sums[:-1] / sums[-1], sums[-1].item()
        centred = wide - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(others) * self.counts) / count
        if running_mean is not None:
            with torch.no_grad():
                running_mean.lerp_(mean.to(running_mean.dtype), momentum)
                running_var.lerp_((variance * (count / max(count - 1, 1))).to(running_var.dtype), momentum)
        y = centred * torch.rsqrt(variance + eps).view(shape)
        if weight is not None:
            y = y * weight.view(shape)
        if bias is not None:
            y = y + bias.view(shape)
        return y.to(x.dtype)
