"""What the tab Detect says: how many boxes, right and wrong ones, what stands behind a box."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from explorer.display.words import counted, percent
from explorer.widgets.panels.detect.drawing import MOST_DRAWN, VERDICTS, Drawn, level_words

if TYPE_CHECKING:
    from explorer.inspection.detect.anchoring import Anchors
    from explorer.inspection.detect.judging import JudgedBoxes
    from explorer.inspection.detect.result import Detections
    from explorer.models.detection.candidates import Candidates

CLICK = '<p class="vx-soft">Click a box: what stands behind it. Click two: how much they overlap.</p>'
CLICK_PLACE = ('<p class="vx-soft">Click a place of the photo: the anchors that the network starts from '
               "there.</p>")
MEANT = {"right": "right", "another class": "of another class", "wrong": "wrong", "missed": "missed"}


def nothing_html(found: Detections) -> str:
    """What to do where no box is above the threshold; "" where there are some."""
    if len(found):
        return ""
    scores = found.candidates.scores
    if not len(scores):
        return (f"<p>No box: the network gives nothing a score above {percent(found.lowest)}. It may not "
                "know what is in this photo.</p>")
    best = float(scores.max())
    return (f"<p>No box above {percent(found.score_threshold)}: the best candidate has {percent(best)}. Move "
            "the score slider to the left to see it.</p>")


def counts_html(found: Detections, shown: Candidates, judged: JudgedBoxes | None, *, raw: bool, level: str,
                above: int) -> str:
    """How many there are, of which class, and how many of the true ones are found.

    shown: those of the chosen level;  above: candidates
    """
    stay = "" if raw else f", {counted(len(found), 'box', 'es')} after NMS"
    lines = [f"<p>{counted(above, 'candidate')} above {percent(found.score_threshold)}{stay}.</p>"]
    if level:
        lines.append(f"<p>{len(shown):,} of them on {escape(level)}.</p>")
    if len(shown) > MOST_DRAWN:
        lines.append(f"<p>The {MOST_DRAWN:,} best are drawn.</p>")
    if not raw:
        lines += [_table_html(found, shown, judged), nothing_html(found)]
    return "".join(lines)


def _table_html(found: Detections, shown: Candidates, judged: JudgedBoxes | None) -> str:
    """A row a class; names are untrusted text."""
    boxes = Counter(shown.labels.tolist())
    if judged is None:
        rows = [(index, f"<td>{count}</td>") for index, count in boxes.most_common()]
        head = ""
    else:
        truth, crowd = judged.truth.labels.tolist(), judged.truth.crowd.tolist()
        there = Counter(label for label, many in zip(truth, crowd) if not many)
        there.subtract(missed := Counter(truth[thing] for thing in judged.missed))
        rows = [(index, f"<td>{boxes[index]}</td><td>{there[index]} of {there[index] + missed[index]}</td>")
                for index, _ in (boxes + Counter(truth)).most_common()]
        head = "<tr><th></th><th scope='col'>boxes</th><th scope='col'>true ones found</th></tr>"
    body = "".join(f"<tr><th scope='row'>{escape(found.names[index])}</th>{cells}</tr>"
                   for index, cells in rows)
    return f'<table class="vx-facts"><tbody>{head}{body}</tbody></table>' if body else ""


def key_html(entries: Sequence[tuple[str, str]]) -> str:
    """(colour, name) of each: what the colours mean."""
    marks = "".join(f'<span class="vx-detect-mark"><i style="background:{colour}"></i>{escape(name)}</span>'
                    for colour, name in entries)
    return f'<div class="vx-detect-key">{marks}</div>' if marks else ""


def verdicts_html(judged: JudgedBoxes, *, coloured: bool) -> str:
    """Right, wrong and missed in all; coloured: and what their colours are."""
    wrong = judged.count("wrong") + judged.count("another class")
    shares = [f"{name} {percent(share)}" for name, share in
              (("precision", judged.precision), ("recall", judged.recall)) if share is not None]
    marks = [(VERDICTS[verdict], text) for verdict, text in MEANT.items()
             if verdict == "missed" and judged.missed or judged.count(verdict)]
    return (f"<p><b>{judged.count('right')}</b> right (TP), <b>{wrong}</b> wrong (FP), "
            f"<b>{len(judged.missed)}</b> missed (FN){': ' if shares else ''}{', '.join(shares)}.</p>"
            f"{key_html(marks) if coloured else ''}")


def box_html(found: Detections, number: int, candidate: Candidates, anchor: Anchors | None,
             heap: Candidates | None) -> str:
    """What stands behind one box: candidates[number] of those that are shown."""
    name = escape(found.names[int(candidate.labels[number])])
    parts = [f"<b>{name}</b> {percent(float(candidate.scores[number]))}"]
    words, level = level_words(found), int(candidate.levels[number])
    if 0 <= level < len(words):
        parts.append(f"found on {words[level]}")
    lines = [f"<p>{', '.join(parts)}.</p>"]
    if anchor is not None:
        left, top, right, bottom = anchor.boxes[0].tolist()
        size = f"{right - left:.0f} × {bottom - top:.0f}"
        what = "Its anchor" if words else "What a first network proposed there"
        lines.append(f"<p>{what} (dashed, white): {size} pixels.</p>")
    if heap is not None:
        lines.append("<p>NMS threw out no other candidate for it.</p>" if not len(heap) else
                     f"<p>NMS threw out {counted(len(heap), 'candidate')} for it (dashed, in its colour), "
                     f"the best with {percent(float(heap.scores[0]))}.</p>")
    return "".join(lines)


def anchors_html(found: Detections, anchors: Anchors) -> str:
    """The anchors at a place, level by level."""
    words, counts = level_words(found), Counter(anchors.levels.tolist())
    rows = []
    for level, word in enumerate(words):
        sides = (anchors.boxes[:, 2:] - anchors.boxes[:, :2])[anchors.levels == level].round().long().tolist()
        sizes = ", ".join(f"{wide} × {high}" for wide, high in sides[:3])
        more = " …" if len(sides) > 3 else ""
        rows.append(f"<tr><th scope='row'>{word}</th><td>{counts[level]}: {sizes}{more}</td></tr>")
    return (f"<p>{counted(len(anchors), 'anchor')} at this place, in pixels of the photo:</p>"
            f'<table class="vx-facts"><tbody>{"".join(rows)}</tbody></table>')


def positives_html(found: Detections, positives: Anchors, thing: int | None, names: Sequence[str]) -> str:
    """The anchors that a training would call positive; thing: for that true box alone. names: of them all"""
    total = sum(map(len, found.levels))
    shown = positives if thing is None else positives.of_thing(thing)
    share = percent(len(shown) / max(1, total))
    told = f"In a training, {len(shown):,} of {total:,} anchors ({share}) would have to find "
    if thing is None:
        counts = Counter(positives.things.tolist()).most_common()
        spread = f", from {counts[-1][1]} to {counts[0][1]} each" if len(counts) > 1 else ""
        told += (f"{counted(len(counts), 'true box', 'es')} of {len(names)}{spread}; all others learn to be "
                 "silent, or are asked nothing. Click a true box for its own.")
    else:
        told += f"this <b>{escape(names[thing])}</b>."
    words, levels = level_words(found), Counter(shown.levels.tolist())
    rows = "".join(f"<tr><th scope='row'>{words[level]}</th><td>{levels[level]}</td></tr>"
                   for level in sorted(levels))
    return f'<p>{told}</p><table class="vx-facts"><tbody>{rows}</tbody></table>'


def pair_html(drawn: Drawn, one: int, other: int, *, allowed: float) -> str:
    """How much two boxes overlap. allowed: by NMS, for two of one class"""
    from explorer.inspection.detect.overlap import intersection_over_union

    overlap = intersection_over_union(drawn.edges[one], drawn.edges[other])
    names = " and ".join(f"<b>{escape(drawn.labels[index])}</b>" for index in (one, other))
    told = f"<p>{names}: IoU <b>{overlap:.2f}</b></p>"
    if drawn.labels[one] == drawn.labels[other] and overlap > allowed:
        told += '<p class="vx-soft">More than the overlap allowed: NMS keeps the better one alone.</p>'
    return told
