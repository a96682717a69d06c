"""The card of a model: what a person wants to know before opening it. Pure Python, no torch.

    card = model_card("resnet50")
    print(card.as_text())            # what `vision-explorer show resnet50` prints

All facts come from two tables, the catalog (the idea, its paper) and `weights.json` (numbers, published
weights), so that a card takes no time and no memory. The picker draws the same card in a notebook.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from explorer.models.catalog import FAMILY_OF, Family
from explorer.models.config import ModelConfig
from explorer.models.names import check_name, split_door, word_on_old_name
from explorer.models.weights.places import is_here
from explorer.models.weights.table import config_for, mac_count, parameter_count, stage_rows, tags

MOST_NAMED = 10  # classes whose names a card lists
BAR = 24  # characters of the longest bar in the drawing of the stages


@dataclass(frozen=True)
class StageRow:
    """One stage: its map is [B, channels, H/reduction, W/reduction]."""

    name: str
    channels: int
    reduction: int


@dataclass(frozen=True)
class StageRun:
    """`count` equal stages in a row, from `first` to `last`; one stage stands alone with count 1."""

    first: str
    last: str
    count: int
    channels: int
    reduction: int

    @property
    def label(self) -> str:
        return self.first if self.count == 1 else f"{self.first} ... {self.last}"


@dataclass(frozen=True)
class TagRow:
    """One published set of weights.

    top1, top5: per cent on ImageNet-1k as published, with photos of `input_size`; None where nobody says
    """

    tag: str
    name: str
    license: str
    num_classes: int
    input_size: tuple[int, int, int]
    top1: float | None
    top5: float | None

    @property
    def here(self) -> bool:
        """Whether these weights are on this computer, now."""
        architecture, _, tag = self.name.partition(".")
        return is_here(architecture, tag)


@dataclass(frozen=True)
class ModelCard:
    """What the tables say of one name.

    name:         as it was asked for; `architecture` and `tag` are what it means ("" without published
                  weights)
    family:       the idea: title, year, paper, url, idea (its first sentence: `tagline`), task
    parameters:   with the published classifier; None where not counted
    macs:         multiply-adds of one photo of the default weights' input size; None where not counted
    stages:       in network order
    config:       ModelConfig of the tag, by default that of the default weights
    tags:         every published set of weights, the default first
    """

    name: str
    architecture: str
    tag: str
    family: Family
    parameters: int | None
    macs: int | None
    stages: tuple[StageRow, ...]
    config: ModelConfig
    tags: tuple[TagRow, ...]

    @property
    def published(self) -> bool:
        """Whether there are trained weights for it anywhere."""
        return bool(self.tags)

    @property
    def here(self) -> bool:
        """Whether the card's trained weights are on this computer, now."""
        return self.published and is_here(self.architecture, self.tag)

    @property
    def measured(self) -> str:
        """What was measured of these weights where it is no accuracy, per cent: "box AP50 88.1, box AP 60.2";
        "" where nobody says.
        """
        return ", ".join(f"{what} {value:.1f}" for what, value in self.config.metrics)

    @property
    def class_names(self) -> str:
        """The names of a handful of classes; "" for more of them, and for names that nobody says."""
        labels = self.config.labels or ()
        return ", ".join(labels) if len(labels) <= MOST_NAMED else ""

    @property
    def told(self) -> str:
        """What is told of these weights beyond the figures; "" for nothing."""
        return self.config.notes if isinstance(self.config.notes, str) else ""

    @property
    def preprocessing(self) -> tuple[str, ...]:
        """What is done to a photo before this network sees it, in sentences."""
        return preprocessing_sentences(self.config, self.family.task)

    @property
    def stage_runs(self) -> tuple[StageRun, ...]:
        """The stages with equal numbered neighbours folded: twelve blocks of a transformer are one row."""
        return fold_stages(self.stages)

    def as_dict(self) -> dict[str, Any]:
        """The card in plain types, for JSON."""
        c = self.config
        return {
            "name": self.name, "architecture": self.architecture, "tag": self.tag,
            "family": self.family.name, "title": self.family.title, "year": self.family.year,
            "task": self.family.task, "paper": self.family.paper, "url": self.family.url,
            "idea": self.family.idea,
            "parameters": self.parameters, "macs": self.macs,
            "stages": [{"name": stage.name, "channels": stage.channels, "reduction": stage.reduction}
                       for stage in self.stages],
            "input_size": list(c.input_size), "interpolation": c.interpolation, "crop_pct": c.crop_pct,
            "crop_mode": c.crop_mode, "mean": list(c.mean), "std": list(c.std), "num_classes": c.num_classes,
            "labels": [*(c.labels or ())], "metrics": dict(c.metrics), "notes": self.told,
            "license": c.license, "top1": c.top1, "top5": c.top5, "preprocessing": list(self.preprocessing),
            "published": self.published, "here": self.here,
            "tags": [{"name": t.name, "license": t.license, "num_classes": t.num_classes,
                      "input_size": list(t.input_size), "top1": t.top1, "top5": t.top5} for t in self.tags],
        }

    def as_text(self, width: int = 80) -> str:
        """The card for a terminal of `width` characters; lines are broken between words."""
        width = max(40, width)
        f, c = self.family, self.config
        facts = [("family", f"{f.title}, {f.year}"), ("task", f.task),
                 ("parameters", count_text(self.parameters) or "not counted")]
        size = " x ".join(map(str, c.input_size[1:]))
        if self.macs is not None:
            facts.append(("multiply-adds", f"{count_text(self.macs)} for one photo"))
        if c.num_classes:
            names = f": {self.class_names}" if self.class_names else ""
            facts.append(("classes", f"{c.num_classes}{names}"))
        if c.top1 is not None:
            top5 = f", {c.top5:.1f} % top-5" if c.top5 is not None else ""
            facts.append(("accuracy", f"{c.top1:.1f} % top-1{top5} on ImageNet (published)"))
        if self.measured:
            facts.append(("measured", f"{self.measured} % (published)"))
        if self.told:
            facts.append(("about them", self.told))
        facts.append(("photo", f"{size} pixels"))
        facts.append(("weights", self._weights_text()))
        facts.append(("paper", f"{f.paper}. {f.url}"))
        word = word_on_old_name(self.name)
        lines = [self.name, "", *textwrap.wrap(word, width), *([""] if word else [])]
        lines += [*textwrap.wrap(f.idea, width), ""]
        for label, text in facts:
            lines += _labelled(label, text, width)
        lines += ["", "What is done to the photo:"]
        for number, sentence in enumerate(self.preprocessing, start=1):
            lines += textwrap.wrap(sentence, width, initial_indent=f"  {number}. ", subsequent_indent="     ")
        if self.stages:
            lines += ["", "Stages (the bar is the side of the map):", *draw_stages(self.stages, width=width)]
        if len(self.tags) > 1:
            heading = f"Published weights ({self.architecture}.TAG; the first is the default):"
            lines += ["", *_wrapped(heading, width), *_tag_lines(self.tags, width)]
        return "\n".join(line.rstrip() for line in lines)

    def _weights_text(self) -> str:
        if not self.published:
            return "none published"
        licence = f", licence {self.config.license}" if self.config.license else ""
        return f"{self.config.name}{licence}: {'on this computer' if self.here else 'to be downloaded'}"


def model_card(name: str) -> ModelCard:
    """The card of an architecture ("resnet50": its default weights) or of one set ("resnet50.a1_in1k").

    Raises ValueError for an unknown name, with the nearest ones, as `create_model` does.
    """
    library, _ = split_door(name)
    if library:
        raise ValueError(f"{name!r} is not one of explorer's own models, so it has no card: "
                         f"create_model({name!r}) makes it, and module_tree shows what is inside.")
    architecture, tag = check_name(name)
    config = config_for(architecture, tag)
    published = tags(architecture)
    return ModelCard(
        name=name.strip(), architecture=architecture, tag=config.tag if published else "",
        family=FAMILY_OF[architecture], parameters=parameter_count(architecture),
        macs=mac_count(architecture),
        stages=tuple(StageRow(*row) for row in stage_rows(architecture)),
        config=config, tags=tuple(_tag_row(config_for(architecture, each)) for each in published),
    )


def _tag_row(config: ModelConfig) -> TagRow:
    return TagRow(tag=config.tag, name=config.name, license=config.license, num_classes=config.num_classes,
                  input_size=config.input_size, top1=config.top1, top5=config.top5)


# --- words and drawings -------------------------------------------------------------------------------------


def preprocessing_sentences(config: ModelConfig, task: str = "classification") -> tuple[str, ...]:
    """What is done to a photo for these weights, step by step.

    By `explorer.data.create_transform`, or, for boxes and masks, by `explorer.detect` and `explorer.segment`.
    """
    channels, height, width = config.input_size
    scaled = math.floor(height / config.crop_pct), math.floor(width / config.crop_pct)
    how = config.interpolation
    sentences = [] if channels != 1 else ["Make one grey channel of the three colours."]
    if config.crop_mode == "squash":
        sentences.append(f"Squash the photo to {scaled[1]} x {scaled[0]} pixels, {how}.")
    elif task == "detection":
        short, long = sorted((height, width))
        sentences.append(f"Resize the whole photo in its proportions, to a short side of {short} pixels and "
                         f"a long one of {long} at most, {how}.")
    elif task == "segmentation":
        sentences.append(f"Resize the whole photo in its proportions, to a short side of {height} pixels, "
                         f"{how}.")
    elif config.crop_mode == "border":
        sentences.append(f"Resize the photo to fit into {scaled[1]} x {scaled[0]} pixels, {how}.")
    elif height == width:
        sentences.append(f"Resize the short side to {scaled[0]} pixels, {how}.")
    else:
        sentences.append(f"Resize the photo to cover {scaled[1]} x {scaled[0]} pixels, {how}.")
    if task != "classification":
        pass  # nothing is cut off
    elif config.crop_mode == "border":
        sentences.append(f"Put it on the middle of {width} x {height} pixels of the mean colour.")
    elif scaled != (height, width) or config.crop_mode != "squash":
        sentences.append(f"Cut {width} x {height} pixels from the middle.")
    sentences.append("Divide by 255, so that 0..255 becomes 0..1.")
    mean, std = (", ".join(f"{v:.4g}" for v in values) for values in (config.mean, config.std))
    sentences.append(f"Subtract the mean ({mean}) and divide by the standard deviation ({std}).")
    return tuple(sentences)


def fold_stages(stages: Iterable[StageRow]) -> tuple[StageRun, ...]:
    """Runs of three stages or more whose names count on (blocks.0, blocks.1, ...), with maps of one shape."""
    runs: list[list[StageRow]] = []
    for stage in stages:
        if runs and _continues(runs[-1][-1], stage):
            runs[-1].append(stage)
        else:
            runs.append([stage])
    folded = []
    for run in runs:
        for part in ([run] if len(run) > 2 else [[stage] for stage in run]):
            first, last = part[0], part[-1]
            folded.append(StageRun(first.name, last.name, len(part), first.channels, first.reduction))
    return tuple(folded)


def _continues(stage: StageRow, following: StageRow) -> bool:
    if (stage.channels, stage.reduction) != (following.channels, following.reduction):
        return False
    number = re.search(r"\d+$", stage.name)
    return number is not None and following.name == f"{stage.name[:number.start()]}{int(number[0]) + 1}"


def draw_stages(stages: Iterable[StageRow], *, width: int = 80) -> list[str]:
    """One line a stage: name, a bar as long as its map is wide, channels, stride."""
    runs = fold_stages(stages)
    if not runs:
        return []
    names = max(len(run.label) for run in runs)
    channels = max(len(str(run.channels)) for run in runs)
    # the second where the terminal is narrow
    for words in ("{:>{}} channels, stride {}", "{:>{}}, stride {}"):
        facts = [words.format(run.channels, channels, run.reduction) for run in runs]
        room = min(BAR, width - names - max(map(len, facts)) - 6)
        if room >= 8:
            break
    room = max(4, room)
    finest = min(run.reduction for run in runs)
    bars = ["#" * max(1, round(room * finest / run.reduction)) for run in runs]
    return [f"  {run.label:<{names}}  {bar:<{room}}  {fact}" for run, bar, fact in zip(runs, bars, facts)]


def count_text(number: int | None) -> str:
    """25557032 -> "25.6 M", 4089184256 -> "4.09 G"; "" for None."""
    if number is None:
        return ""
    for unit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * unit:
            return f"{number / unit:.3g} {letter}"
    return str(number)


def _labelled(label: str, text: str, width: int) -> list[str]:
    start = f"{label:<15}"
    return textwrap.wrap(text, width, initial_indent=start, subsequent_indent=" " * len(start),
                         break_long_words=False, break_on_hyphens=False)


def _tag_lines(tags: Iterable[TagRow], width: int) -> list[str]:
    rows = []
    for t in tags:
        accuracy = "" if t.top1 is None else f"{t.top1:.1f} % top-1"
        classes = f"{t.num_classes} classes" if t.num_classes else "no classifier"
        rows.append((t.tag, accuracy, classes, t.license))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    if sum(widths) + 8 > width:  # too narrow for columns
        return [line for row in rows for line in _wrapped("  " + ", ".join(filter(None, row)), width)]
    return [f"  {tag:<{widths[0]}}  {accuracy:>{widths[1]}}  {classes:>{widths[2]}}  {licence}"
            for tag, accuracy, classes, licence in rows]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent="    ", break_long_words=False,
                         break_on_hyphens=False)
