"""What is said of an evaluation of boxes or masks: HTML, the rows of its tables; no widget."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from explorer.display.words import counted
from explorer.widgets.parts.evaluation_card import head_html, tiles_html

if TYPE_CHECKING:
    from explorer.training.evaluation.box_answers import BoxAnswers
    from explorer.training.evaluation.mask_answers import MaskAnswers
    from explorer.training.evaluation.place_figures import PhotoOfBoxes, PhotoOfMasks

Columns, Rows = list[tuple[str, str]], list[list[Any]]
BOX_ROWS = ("Rows are what is there, columns the class of the box on it. The last row are boxes where "
            "nothing is, the last column things without a box.")
PIXEL_ROWS = "Rows are what pixels are, columns what they were taken for; shares of a row."
DASHED = "White and dashed: what is there. In colour: what was found."
OUTLINED = "White: the outline of what is there. In colour: what was said."


def box_headline_html(result: BoxAnswers) -> str:
    from explorer.training.evaluation.box_report import without_boxes
    from explorer.training.evaluation.place_report import share
    from explorer.training.evaluation.report import pace_of

    tiles = [("mAP (IoU 0.50 to 0.95)", share(result.map)), ("AP50 (IoU 0.50)", share(result.ap50)),
             ("AP75 (IoU 0.75)", share(result.ap75))]
    if result.mask_averages is not None:
        tiles.append(("mAP of the masks", share(result.mask_map)))
    tiles.append(("photos", f"{len(result):,}"))
    return head_html(result, tiles, [*without_boxes(result), *pace_of(result.throughput)])


def mask_headline_html(result: MaskAnswers) -> str:
    from explorer.training.evaluation.mask_report import facts
    from explorer.training.evaluation.place_report import share

    tiles = [("mIoU (mean over the classes)", share(result.miou)), ("Dice", share(result.dice)),
             ("pixels right", share(result.accuracy)), ("photos", f"{len(result):,}")]
    return head_html(result, tiles, facts(result))


def score_html(result: BoxAnswers) -> str:
    """What the boxes from a score on are worth."""
    from explorer.training.evaluation.place_report import share

    found = int(result.confusion[:, :-1].sum())
    there = int(result.confusion[:-1].sum())
    told = f"{counted(found, 'box', 'es')} count, {counted(there, 'thing')} to find."
    tiles = [("precision", share(result.precision)), ("recall", share(result.recall)),
             ("F1", share(result.f1))]
    return f'<div class="vx-eval-head">{tiles_html(tiles)}<p class="vx-soft">{escape(told)}</p></div>'


def box_rows(result: BoxAnswers) -> tuple[Columns, Rows]:
    """(columns, rows) of the table of classes: what does not depend on a score, then what does."""
    masks = result.mask_averages is not None
    columns = [("class", "text"), ("AP", "share"), ("AP50", "share"), ("AP75", "share"),
               *([("mask AP", "share")] if masks else []), ("precision", "share"), ("recall", "share"),
               ("F1", "share"), ("boxes", "count")]
    rows: Rows = []
    above = result.above_score
    for name, one in result.per_class.items():
        at = above[name]
        rows.append([name, one.ap, one.ap50, one.ap75, *([one.mask_ap] if masks else []), at.precision,
                     at.recall, at.f1, one.boxes])
    return columns, rows


def size_rows(result: BoxAnswers) -> tuple[Columns, Rows]:
    """(columns, rows) of the table of sizes: the mean AP of each, then that of every class."""
    columns = [("class", "text"), ("small (below 32²)", "share"), ("medium (below 96²)", "share"),
               ("large", "share")]
    rows: Rows = [["all classes", *result.per_size.values()]]
    rows += [[name, one.small, one.medium, one.large] for name, one in result.per_class.items()]
    return columns, rows


def mask_rows(result: MaskAnswers) -> tuple[Columns, Rows]:
    columns = [("class", "text"), ("IoU", "share"), ("Dice", "share"), ("precision", "share"),
               ("recall", "share"), ("pixels", "count")]
    rows: Rows = [[name, one.iou, one.dice, one.precision, one.recall, one.pixels]
                  for name, one in result.per_class.items()]
    return columns, rows


def photo_of_boxes(row: PhotoOfBoxes) -> tuple[str, ...]:
    """What stands below a small photo."""
    counts = (row.confused, "of another class"), (row.missed, "missed"), (row.invented, "invented")
    wrong = [f"{count:,} {what}" for count, what in counts if count]
    return f"{row.right:,} right", ", ".join(wrong) or "no mistake"


def photo_of_masks(row: PhotoOfMasks) -> tuple[str, ...]:
    from explorer.training.evaluation.place_report import share

    return f"mIoU {share(row.iou)}", f"{share(row.accuracy)} of its pixels right"


def cell_words(true: str | None, predicted: str | None, nothing: str, count: int) -> str:
    """What the photos of a cell of the confusion matrix have in common. None: any class;  nothing: what no
    class is called
    """
    if true == nothing:
        what = f"a box{'' if predicted is None else f' of {predicted}'} where nothing is"
    elif predicted == nothing:
        what = f"{true or 'something'} that was missed"
    elif true is not None and true == predicted:
        what = f"{true} that was found"
    elif true is None:
        what = "a thing or a box" if predicted is None else f"a box of {predicted}"
    elif predicted is None:
        what = true
    else:
        what = f"{true} taken for {predicted}"
    return f"{counted(count, 'photo')} with {what}."
