"""Every photo through a model once: its answers, and the pace."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer._threads import thread_count
from explorer.data.folders import DataError
from explorer.data.images import ImageError
from explorer.data.photo_sets import PhotoSet
from explorer.inspection.look.faster import Faster
from explorer.inspection.look.many import answered
from explorer.inspection.look.model import whose_scores
from explorer.inspection.look.own_inputs import mirrored, transform_for
from explorer.models.contract import VisionModel, parameter_place
from explorer.models.outputs import Outputs
from explorer.training.evaluation.figures import Throughput


def ask_all(
    model: VisionModel, photos: PhotoSet, batch_size: int, tta: bool,
    read: Callable[[Tensor], Sequence[Tensor]],
    on_progress: Callable[[int, int], None] | None, should_stop: Callable[[], bool] | None,
) -> tuple[list[Tensor], list[int], list[tuple[str, str]], Throughput]:
    """Every photo through the model. read: raw scores of each view [V, B, W] -> answers to keep, [B, K] each

    Returns the answers [N, K]; which photos could be opened; the names of the others, and why not; the pace.
    """
    transform, place = transform_for(model), parameter_place(model)
    broken: dict[int, str] = {}
    guard = threading.Lock()
    blank = Image.new("RGB", (8, 8))

    def open_one(index: int) -> Image.Image:
        """A photo that can't be opened goes through as a black one, and is taken out of the results."""
        try:
            return photos.open_one(index)
        except ImageError as error:
            with guard:
                broken[index] = str(error)
            return blank

    def opened(index: int) -> tuple[None, Tensor]:  # in a thread
        return None, transform(open_one(index))

    spent: list[float] = []  # in the network, times the threads that it had

    def views_of(net: VisionModel, inputs: Tensor) -> tuple[np.ndarray, ...]:
        entered = time.perf_counter()
        inputs = inputs.to(**place)
        views = [inputs, mirrored(model, inputs)] if tta else [inputs]
        found = tuple(net(view).float().cpu().numpy() for view in views)
        spent.append((time.perf_counter() - entered) * torch.get_num_threads())
        return found

    parts: list[tuple[Tensor, ...]] = []
    done, started = 0, time.perf_counter()
    count = len(photos)
    groups = answered(Faster(model, views_of), opened, range(count), batch_size=batch_size, total=count)
    for group in groups:
        views = [torch.from_numpy(np.stack(view)) for view in zip(*(row for _, row in group if row))]
        parts.append(read(_scores_of(views)))
        done += len(group)
        if on_progress is not None:
            on_progress(done, count)
        if should_stop is not None and should_stop():
            groups.close()
            break
    seconds = time.perf_counter() - started
    broken = {i: broken[i] for i in sorted(broken) if i < done}  # behind a stop, some were opened ahead
    opened = [i for i in range(done) if i not in broken]
    if not opened:
        first = f" The first: {broken[0]}" if broken else ""
        raise DataError(f"None of the {done} photos could be opened.{first}")
    # Copied outside the inference mode they become ordinary tensors.
    answers = [torch.cat(each)[opened].clone() for each in zip(*parts)]
    bad = answers[0].isnan().any(1).nonzero()[:, 0].tolist()
    if bad:
        raise ValueError(f"{whose_scores(model)} are not finite for {len(bad)} of {len(opened)} photos, such "
                         f"as '{photos.names[opened[bad[0]]]}': its weights are broken. A training with too "
                         "large steps does that.")
    pace = Throughput(done / max(seconds, 1e-9), seconds, sum(spent) / torch.get_num_threads(),
                      thread_count(None, 8), torch.get_num_threads(), str(place["device"]))
    left_out = [(photos.names[i], broken[i]) for i in broken]
    return answers, opened, left_out, pace


def _scores_of(views: list[Tensor]) -> Tensor:
    """Raw scores of each view, [V, B, W]. Raises ValueError where they are maps."""
    if views[0].ndim != 2:
        raise ValueError(f"This model gives logits of shape {list(views[0].shape)}, not one score a class: "
                         'create it with a global_pool, e.g. "avg".')
    return torch.stack(views)


def log_probabilities(views: Tensor, outputs: Outputs, contrary: bool) -> tuple[Tensor, ...]:
    """Raw scores [V, B, W] -> log of the views' mean probability [B, K]; with `contrary`: and of 1 minus it.

    In logarithms, a loss is right where a probability itself would round to 0 or 1.
    """
    count = math.log(len(views))
    log_yes = outputs.log_probabilities(views)
    log_no = (outputs.log_contraries(views),) if contrary else ()
    return tuple(each.logsumexp(0) - count for each in (log_yes, *log_no))
