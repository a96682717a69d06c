"""What the page is told of a number and of the map that it is in: small facts, and bytes for the pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.display.words import counted
from explorer.widgets.parts.mosaic import block_means, quantise

if TYPE_CHECKING:
    from explorer.inspection.number.explained import ExplainedNumber
    from explorer.inspection.number.terms import Terms
    from explorer.inspection.receptive.field import ReceptiveField
    from explorer.inspection.receptive.reads import Reads

LARGEST = 112  # cells of the map's longer side; larger ones are averaged in blocks
SMALL = 56     # and of the maps beside the terms
PLACES = 6     # of attention
COLOURS = ("red", "green", "blue")


def map_facts(number: ExplainedNumber) -> dict[str, Any]:
    """The map that a number is in: its size, and the channel's picture."""
    from explorer.inspection.look.spots import channel_of

    remembered = number.remembered
    channels, rows, columns = remembered.sizes
    values = channel_of(remembered.tensor, remembered.layout, number.channel).detach().float().cpu()
    picture, step = _shrunk(values.reshape(1, rows, columns).numpy(), LARGEST)
    codes, lows, highs = quantise(picture)
    return {"module": number.module, "channel": number.channel, "channels": channels, "rows": rows,
            "columns": columns, "step": step, "height": picture.shape[1], "width": picture.shape[2],
            "low": plain(lows[0]), "high": plain(highs[0]), "map": codes.tobytes(),
            "notes": list(number.notes)}


def reads_facts(reads: Reads | None) -> dict[str, Any]:
    """What the cells of the map read, where that is known."""
    if reads is None:
        return {"readColumns": (), "readRows": (), "said": ""}
    return {"readColumns": reads.columns, "readRows": reads.rows, "said": reads.said}


def number_facts(number: ExplainedNumber, *, keep: Sequence[int] = ()) -> dict[str, Any]:
    """A number: the terms that weigh most, the rest, the steps, in float32 and in small pictures.

    keep: input channels, inputs or places that stay in sight, whether they weigh most or not
    """
    from explorer.inspection.number.behind import input_of, other_branch

    terms, photo = number.terms, number.remembered.photo
    shown = _shown(terms, keep)
    products = terms.products
    first = [terms.first[i] for i in shown] if terms.first is not None else []
    second = [terms.second[i] for i in shown] if terms.second is not None else []
    rest = [float(product) for i, product in enumerate(products) if i not in set(shown)]
    where = input_of(number, shown[0], *_middle(terms)) if shown else None
    opens = where is not None and bool(where.module)
    reads_photo = where is not None and not where.module
    steps = [{"name": step.name, "text": step.text, "value": plain(step.value),
              "other": _other_in_words(other_branch(step, photo)) if step.other else "",
              "opens": other_branch(step, photo) is not None} for step in number.steps]
    return {
        "module": number.module, "channel": number.channel, "row": number.row, "column": number.column,
        "value": plain(number.value), "computed": plain(number.computed),
        "agrees": number.agrees, "said": said(number),
        "kind": terms.kind, "of": terms.of, "count": len(terms.numbers), "known": terms.known,
        "sum": plain(terms.total - terms.bias if terms.known else terms.value), "bias": plain(terms.bias),
        "rest": plain(sum(rest)), "others": len(rest), "opens": opens, "photo": reads_photo,
        "terms": [{"name": _name(terms, i, reads_photo), "number": terms.numbers[i],
                   "product": plain(products[i]), "place": i} for i in shown],
        "size": list(first[0].shape) if first else [], "steps": steps,
        "inside": [] if terms.inside is None else [int(one) for one in terms.inside.flatten()],
        "first": _bytes(first), "second": _bytes(second), **_maps_facts(number, shown),
        "mixed": _mixed_facts(number),
    }


def field_facts(field: ReceptiveField) -> dict[str, Any]:
    """The effective field, a byte a pixel: 255 times the square root of its share of the strongest."""
    values = np.asarray(field.effective)
    left, top, right, bottom = field.box
    side = field.effective_side or 0
    box = "everything" if field.everything else f"{right - left:.0f} × {bottom - top:.0f} pixels"
    text = (f"Frame: the theoretical field, {box}: every pixel that can have a part in this cell. Heat: the "
            "effective field, how strongly each pixel moves the cell's channels for this photo (by gradient; "
            "Luo and others, 2016). ")
    much = math.sqrt(max(0.0, (right - left) * (bottom - top)))
    if not values.any():
        text += "No pixel moves it here: all of its channels are 0 behind a ReLU."
    else:
        text += f"Pixels above 4.55 % of the strongest would fill about {side:.0f} × {side:.0f}"
        text += ": the middle counts most, the outer part of the frame hardly." if side < 0.7 * much else "."
    return {"row": field.row, "column": field.column, "height": values.shape[0], "width": values.shape[1],
            "data": np.rint(255 * np.sqrt(np.clip(values, 0, 1))).astype(np.uint8).tobytes(), "said": text}


def said(number: ExplainedNumber) -> str:
    """Where the number comes from, in a sentence or two."""
    terms = number.terms
    layer = f" {terms.layer}" if terms.layer else ""
    settings = f" ({terms.settings})" if terms.settings else ""
    if not terms.known:
        return (f"This number comes out of a {terms.kind}{layer}, which joins numbers in a way that is not "
                "told term by term here: the steps begin with what it gives.")
    ways = {"largest": f"the largest of {counted(len(terms.numbers), 'number')} under {layer.strip()}",
            "mean": f"the mean of {counted(len(terms.numbers), 'number')}{settings}",
            "attention": f"the mean of {counted(len(terms.numbers), 'value')}, by the weights of attention"
                         f"{settings}"}
    usual = f"a sum of {counted(len(terms.numbers), terms.of)} in the {terms.kind}{layer}{settings}"
    text = f"It is {ways.get(terms.kind, usual)}"
    done = [{"add": "another branch is added" if step.other else "a number is added",
             "multiply": "a gate multiplies it" if step.other else "it is scaled"}.get(step.name, step.name)
            for step in number.steps]
    text += f"; then: {', '.join(done)}" if done else ""
    return " ".join(filter(None, [f"{text}.", number.apart]))


def plain(value: Any) -> float | str:
    """A number that any page can read; what is none, as a word."""
    value = float(value)
    return value if math.isfinite(value) else "NaN" if math.isnan(value) else "-∞" if value < 0 else "∞"


def _shown(terms: Terms, keep: Sequence[int]) -> list[int]:
    """Which terms are shown: those that weigh most, or those that were."""
    if not terms.known or terms.first is None:
        return []
    area = terms.first.shape[1] * terms.first.shape[2]
    most = 8 if area == 1 else 5 if area <= 9 else 4 if area <= 25 else 3
    kept = [terms.numbers.index(number) for number in keep if number in terms.numbers]
    return kept[:most] if len(kept) >= min(most, len(terms.numbers)) else terms.order[:most]


def _middle(terms: Terms) -> tuple[int, int]:
    """Of the kernel a place that lies on the map, the middle one where it does."""
    if terms.inside is None or terms.under is None:
        return 0, 0
    rows, columns = terms.inside.shape
    places = [(row, column) for row in range(rows) for column in range(columns) if terms.inside[row, column]]
    middle = rows // 2, columns // 2
    return min(places, key=lambda at: abs(at[0] - middle[0]) + abs(at[1] - middle[1])) if places else middle


def _name(terms: Terms, index: int, reads_photo: bool) -> str:
    number = terms.numbers[index]
    if reads_photo and terms.of == "input channel" and terms.numbers == (0, 1, 2):
        return COLOURS[number]
    return f"{terms.of.removeprefix('input ') if terms.of == 'input channel' else terms.of} {number}"


def _other_in_words(where: Any) -> str:
    return f"from {where.module}" if where is not None and where.module else "computed between two modules"


def _bytes(parts: Sequence[Any]) -> bytes:
    return b"".join(part.float().contiguous().numpy().astype("<f4").tobytes() for part in parts)


def _shrunk(maps: np.ndarray, side: int) -> tuple[np.ndarray, int]:
    """(maps [n, H, W] of at most so many cells a side, how many cells each way were averaged to one)."""
    step = -(-max(maps.shape[1:]) // side)
    maps = np.ascontiguousarray(maps, np.float32)
    return (block_means(maps, step), step) if step > 1 else (maps, 1)


def _maps_facts(number: ExplainedNumber, shown: Sequence[int]) -> dict[str, Any]:
    """The map that each shown term reads, and the part of it that is under the kernel."""
    from explorer.inspection.number.behind import input_map

    if number.terms.kind in ("mean", "largest"):
        shown = shown[:1]  # all places lie in one map
    found = [read for i in shown if (read := input_map(number, i)) is not None]
    if not found or len(found) != len(shown):
        return {"maps": b"", "mapSize": [], "window": []}
    full = np.stack([values.float().cpu().numpy() for values, _ in found])
    maps, _ = _shrunk(full, SMALL)
    codes, lows, highs = quantise(maps)
    return {"maps": codes.tobytes(), "mapSize": list(maps.shape[1:]), "window": list(found[0][1]),
            "mapFull": list(full.shape[1:]), "ranges": [[plain(low), plain(high)]
                                                        for low, high in zip(lows, highs)]}


def _mixed_facts(number: ExplainedNumber) -> dict[str, Any]:
    """Attention: the row of weights and, of the places that weigh most, what they give."""
    terms = number.terms if number.terms.kind == "attention" else number.mixed
    if terms is None or terms.first is None or terms.second is None:
        return {}
    weights, values = (one.flatten() for one in (terms.first, terms.second))
    count, (_, rows, columns) = len(weights), number.remembered.sizes
    before = count - rows * columns
    on_photo = 0 <= before <= 8 and number.remembered.layout is not None and rows * columns > 1

    def name(place: int) -> str:
        if not on_photo:
            return f"place {place}"
        if place < before:
            return "class token" if before == 1 else f"token {place}"
        return f"row {(place - before) // columns}, column {(place - before) % columns}"

    order = terms.order[:PLACES]
    products = terms.products
    which = "" if terms is number.terms else \
        f"Input {number.products[0][0]}, which weighs most, is itself mixed: "
    where = f"attention over {count} places{f' ({terms.settings})' if terms.settings else ''}"
    why = "" if on_photo else (". They are those of its window, in the order of the computation, which this "
                               "view does not lay on the photo")
    grid = weights[before:].float().numpy() if on_photo else weights.float().numpy()
    return {"said": f"{which}{where}: each place's weight, from the softmax, times its value{why}.",
            "grid": [rows, columns] if on_photo else [], "weights": grid.astype("<f4").tobytes(),
            "places": [{"name": name(i), "weight": plain(weights[i]), "value": plain(values[i]),
                        "product": plain(products[i])} for i in order],
            "others": count - len(order), "rest": plain(products.sum() - sum(products[i] for i in order)),
            "total": plain(terms.total)}
