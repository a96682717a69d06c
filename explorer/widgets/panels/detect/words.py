"""What the tab Detect says: how many boxes, right and wrong ones, what stands behind a box."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from explorer.display.words import counted, percent
from explorer.widgets.panels.detect.drawing import MOST_DRAWN, VERDICTS, level_words

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
        return (f"<p>No box: the network gives nothing a score above {percent(found.lowest)}. It may not know "
                "what is in this photo.</p>")
    best = float(scores.max())
    return (f"<p>No box above {percent(found.score_threshold)}: the best candidate has {percent(best)}. Move "
            "the score slider to the left to see it.</p>")


def counts_html(found: Detections, shown: Candidates, *, raw: bool, level: str, above: int) -> str:
    """How many there are, of which class. shown: those of the chosen level;  above: candidates"""
    stay = "" if raw else f", {counted(len(found), 'box', 'es')} after NMS"
    lines = [f"<p>{counted(above, 'candidate')} above {percent(found.score_threshold)}{stay}.</p>"]
    if level:
        lines.append(f"<p>{counted(len(shown), 'of them', '')} on {escape(level)}.</p>")
    if len(shown) > MOST_DRAWN:
        lines.append(f"<p>The {MOST_DRAWN:,} best are drawn.</p>")
    if not raw:
        names = Counter(found.names[index] for index in shown.labels.tolist())
        rows = "".join(f"<tr><th scope='row'>{escape(label)}</th><td>{count}</td></tr>"
                       for label, count in names.most_common())
        lines.append(f'<table class="vx-facts"><tbody>{rows}</tbody></table>' if rows else "")
        lines.append(nothing_html(found))
    return "".join(lines)


def key_html(entries: Sequence[tuple[str, str]]) -> str:
    """(colour, name) of each: what the colours mean."""
    marks = "".join(f'<span class="vx-detect-mark"><i style="background:{colour}"></i>{escape(name)}</span>'
                    for colour, name in entries)
    return f'<div class="vx-detect-key">{marks}</div>' if marks else ""


def judged_html(judged: JudgedBoxes, names: Sequence[str]) -> str:
    """Right, wrong and missed, in all and by class; names are untrusted text."""
    wrong = judged.count("wrong") + judged.count("another class")
    shares = [f"{name} {percent(share)}" for name, share in
              (("precision", judged.precision), ("recall", judged.recall)) if share is not None]
    marks = [(VERDICTS[verdict], text) for verdict, text in MEANT.items()
             if verdict == "missed" and judged.missed or judged.count(verdict)]
    lines = [f"<p><b>{judged.count('right')}</b> right (TP), <b>{wrong}</b> wrong (FP), "
             f"<b>{len(judged.missed)}</b> missed (FN){': ' if shares else ''}{', '.join(shares)}.</p>"]
    truth, crowd = judged.truth.labels.tolist(), judged.truth.crowd.tolist()
    there = Counter(label for label, many in zip(truth, crowd) if not many)
    missed = Counter(truth[thing] for thing in judged.missed)
    if len(there) > 1:
        rows = "".join(f"<tr><th scope='row'>{escape(names[label])}</th>"
                       f"<td>{count - missed[label]} of {count} found</td></tr>"
                       for label, count in there.most_common())
        lines.append(f'<table class="vx-facts"><tbody>{rows}</tbody></table>')
    return "".join([*lines, key_html(marks)])


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
                     f"<p>NMS threw out {counted(len(heap), 'candidate')} for it (dashed, in its colour), the "
                     f"best with {percent(float(heap.scores[0]))}.</p>")
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
