"""How well explorer's networks for boxes and masks learn, against the libraries that people take for them.

    python -m tests.benchmarks.bench_places masks NUCLEI     # a U-Net against segmentation-models-pytorch's
    python -m tests.benchmarks.bench_places boxes BCCD       # a small RetinaNet against torchvision's
    python -m tests.benchmarks.bench_places steps            # seconds of a training step, of one RetinaNet

NUCLEI and BCCD are folders as `tests/tools/teach_shipped.py` takes them. Within one run all sides see the
same photos, the same held-out ones judge them by the same code, and they have the same seconds and threads:
explorer takes `--epochs` and so some seconds, opening the photos and judging each epoch by the validation
photos included; the others are given as many, for a plain loop (AdamW, a cosine over these seconds, no
judging).

masks: both U-Nets have the lite0 body with the same ImageNet weights, the same widths, the same loss.
boxes: torchvision's RetinaNet has a ResNet-18 body with random weights, since none can be had without a
       network; its third side is explorer's RetinaNet over that very body, random too, by the plain loop.

Measured on two threads of two x86-64 cores, alone, torch 2.14, torchvision 0.29 (held-out photos, per cent):

    masks, 38 s each        explorer 66.5 IoU of nuclei, 154 photos seen; smp 57.1, 104 seen
    boxes, 21 s each        explorer 12.7 AP50, 144 photos seen; torchvision 0.0, 56; the third side 0.0, 56
    boxes, 42 s each        explorer 25.1 AP50, 288 photos seen; torchvision 0.0, 96 (72 photos to learn from)
    a training step         explorer 1208 ms, torchvision 1191 ms: 1.01 times as long

The networks that come along learnt for six minutes of one thread: IoU 71.5, AP50 83.7 (`shipped/*.json`).
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import explorer
from explorer.data.places.augment import Augmented
from explorer.data.places.place_set import PlaceSet, PlaceSplits
from explorer.inspection.segment.preparing import preparation
from explorer.models.doors.torchvision_detectors import TorchvisionDetector
from explorer.models.segmentation.losses import mask_loss
from explorer.models.weights import convert
from explorer.training.loop.place_sources import BoxesMade, MasksMade
from tests.benchmarks.turns import interleaved
from tests.tools.teach_shipped import BODY, LESSONS, SEED, photos_of, scores, seeing, untaught

#: what a side is called, its seconds, photos that it has seen, what was measured
Row = tuple[str, float, int, list[tuple[str, float]]]


def some_of(lesson: Any, folder: Path, photos: int) -> tuple[PlaceSplits, PlaceSet]:
    """(so many photos to learn from with a fifth as many to choose by, the held-out ones)."""
    splits, test, _ = photos_of(lesson, folder)
    few = splits.train.subset(range(len(splits.train))[:photos])
    return replace(splits, train=few, val=splits.val.subset(range(len(splits.val))[:photos // 5])), test


def learnt_by_explorer(
    lesson: Any, splits: PlaceSplits, epochs: int, threads: int
) -> tuple[nn.Module, float, int]:
    """(the model, seconds, photos seen) of `finetune` with the lesson's settings, and fewer epochs."""
    model = untaught(lesson)
    begun = time.perf_counter()
    run = explorer.finetune(model, splits, seed=SEED, threads=threads, device="cpu",
                            **(lesson.settings | {"epochs": epochs}))
    run.wait()
    return run.model.eval(), time.perf_counter() - begun, epochs * len(splits.train)


def learnt_by_a_plain_loop(
    model: nn.Module, loss: Callable[[Any, Any], Tensor], photos: PlaceSet, made: Any, seconds: float,
    lesson: Any, body: nn.Module,
) -> int:
    """Photos seen in so many seconds."""
    inside = {id(value) for value in body.parameters()}
    settings, vary = lesson.settings, Augmented(lesson.settings["augment"])
    optimizer = torch.optim.AdamW([
        {"params": [p for p in model.parameters() if id(p) not in inside], "lr": settings["lr"]},
        {"params": [*body.parameters()], "lr": settings["body_lr"]}], weight_decay=0.01)
    rates = [group["lr"] for group in optimizer.param_groups]
    torch.manual_seed(SEED)
    model.train()
    begun, seen, size = time.perf_counter(), 0, settings["batch_size"]
    while True:
        order = torch.randperm(len(photos)).tolist()
        for start in range(0, len(order) - size + 1, size):
            share = (time.perf_counter() - begun) / seconds
            if share >= 1:
                return seen
            for group, rate in zip(optimizer.param_groups, rates):
                group["lr"] = rate * min(1, 20 * share + 0.05) * (1 + math.cos(math.pi * share)) / 2
            pairs = [made.one(*vary(*photos[index])) for index in order[start:start + size]]
            cost = loss(*made.batch(pairs))
            optimizer.zero_grad()
            cost.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimizer.step()
            seen += size


# --- masks ------------------------------------------------------------------------------------------------


def masks(folder: Path, epochs: int, threads: int, photos: int) -> list[Row]:
    import segmentation_models_pytorch as smp

    lesson = LESSONS["nuclei"]
    splits, test = some_of(lesson, folder, photos)
    model, seconds, seen = learnt_by_explorer(lesson, splits, epochs, threads)
    rows = [("explorer, unet_lite0", seconds, seen, scores(model, test))]

    ours = untaught(lesson)
    widths = [block.conv2[0].out_channels for block in ours.decoder["blocks"]]
    net = smp.Unet(f"tu-{BODY}", encoder_weights=None, decoder_channels=widths, classes=2)
    same = net.encoder.model.load_state_dict(ours.body.state_dict(), strict=False)
    assert not same.missing_keys, same.missing_keys

    def loss(batch: Tensor, target: Tensor) -> Tensor:
        return sum(mask_loss(net(batch), target, loss=lesson.settings["loss"]).values())

    seen = learnt_by_a_plain_loop(net, loss, splits.train, MasksMade(preparation(ours)), seconds, lesson,
                                  net.encoder)
    ours.load_state_dict(convert("unet", net.state_dict(), "smp"))  # its twin, which the same code can judge
    ours.config = ours.config.with_(labels=splits.classes)
    rows.append(("smp, Unet over lite0", seconds, seen, scores(ours.eval(), test)))
    return rows


# --- boxes ------------------------------------------------------------------------------------------------


def torchvisions(classes: int, size: tuple[int, int]) -> nn.Module:
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
    from torchvision.models.detection.retinanet import RetinaNet
    from torchvision.ops.feature_pyramid_network import LastLevelP6P7

    body = resnet_fpn_backbone(backbone_name="resnet18", weights=None, trainable_layers=5,
                               norm_layer=nn.BatchNorm2d, returned_layers=[2, 3, 4],
                               extra_blocks=LastLevelP6P7(256, 256))
    return RetinaNet(body, classes, min_size=min(size), max_size=max(size))


def boxes(folder: Path, epochs: int, threads: int, photos: int, twin: bool = True) -> list[Row]:
    lesson = LESSONS["bccd"]
    splits, test = some_of(lesson, folder, photos)
    model, seconds, seen = learnt_by_explorer(lesson, splits, epochs, threads)
    rows = [("explorer, retinanet_lite0", seconds, seen, scores(model, test))]
    torch.manual_seed(SEED)
    theirs = torchvisions(len(splits.classes), lesson.size)
    torch.manual_seed(SEED)
    same = explorer.create_model("retinanet", backbone="resnet18", num_classes=len(splits.classes))
    same = seeing(same, lesson)
    same.config = same.config.with_(labels=splits.classes)

    made = _BoxesAlone(BoxesMade(3))

    def loss_of(net: nn.Module) -> Callable[[Any, Any], Tensor]:
        return lambda photos, targets: sum(net(photos, targets).values())

    sides = [("torchvision, RetinaNet over ResNet-18, random", theirs, theirs.backbone.body),
             ("explorer, RetinaNet over ResNet-18, random", same, same.body)]
    for called, net, body in sides[:1 + twin]:
        seen = learnt_by_a_plain_loop(net, loss_of(net), splits.train, made, seconds, lesson, body)
        judged = net if net is same else TorchvisionDetector(net, None, len(splits.classes), same.config)
        rows.append((called, seconds, seen, scores(judged.eval(), test)))
    return rows


class _BoxesAlone:
    """Targets of boxes and labels alone, as a training loop gives them."""

    def __init__(self, made: BoxesMade):
        self.one = made.one

    def batch(self, pairs: Sequence[tuple[Tensor, Any]]) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
        return [photo for photo, _ in pairs], [
            {"boxes": target["boxes"].float(), "labels": target["labels"]} for _, target in pairs]


# --- steps ------------------------------------------------------------------------------------------------


def steps(repeats: int) -> dict[str, float]:
    """Median seconds of one step (two photos of 256 x 256, five boxes each) of retinanet_resnet50_fpn."""
    from torchvision.models.detection import retinanet_resnet50_fpn

    torch.manual_seed(SEED)
    photos = [torch.rand(3, 256, 256) for _ in range(2)]
    corners = [200 * torch.rand(5, 2) for _ in range(2)]
    targets = [{"boxes": torch.cat((each, each + 50), 1), "labels": torch.arange(5)} for each in corners]
    ours = explorer.create_model("retinanet_resnet50_fpn", num_classes=5)
    ours.config = ours.config.with_(input_size=(3, 256, 256))
    theirs = retinanet_resnet50_fpn(weights=None, weights_backbone=None, num_classes=5, min_size=256,
                                    max_size=256, trainable_backbone_layers=5)

    def step(net: nn.Module) -> Callable[[], None]:
        optimizer = torch.optim.SGD(net.train().parameters(), lr=1e-4, momentum=0.9)

        def work() -> None:  # as torchvision's references/detection/engine.py has it
            loss = sum(net(photos, targets).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        return work

    return interleaved({"explorer": step(ours), "torchvision": step(theirs)}, repeats)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("masks", "boxes", "steps"))
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--epochs", type=int, default=2, help="of explorer's run (default 2)")
    parser.add_argument("--photos", type=int, default=1000, help="to learn from, at most")
    parser.add_argument("--no-twin", action="store_true", help="boxes: without the third side")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    print(f"torch {torch.__version__}, {args.threads} threads of {os.cpu_count()} cores, "
          f"{platform.machine()}")
    if args.what == "steps":
        found = steps(args.repeats)
        print(*(f"{name}: {1000 * seconds:.0f} ms a step" for name, seconds in found.items()), sep="\n")
        print(f"explorer / torchvision: {found['explorer'] / found['torchvision']:.2f}")
        return 0
    if args.folder is None:
        parser.error(f"{args.what} wants the folder of the photos")
    given = args.folder, args.epochs, args.threads, args.photos
    found = masks(*given) if args.what == "masks" else boxes(*given, twin=not args.no_twin)
    for called, seconds, seen, rows in found:
        print(f"{called}: {seconds:.0f} s, {seen} photos seen; "
              + ", ".join(f"{name} {value}" for name, value in rows), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
