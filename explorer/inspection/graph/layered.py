"""Where the boxes of a drawing stand: in layers, each behind all that it reads.

The usual four steps (Sugiyama, Tagawa and Toda 1981): a box stands one layer behind the last that it reads
(longest path); a wire that crosses layers gets a place of its own in each (its lane); the places of a layer
are ordered by the mean of their neighbours' (barycentre), which leaves few crossings; and each comes as near
below what it reads as the others let it. Wires from the same box share a lane, so a box that a hundred others
read takes one. What is drawn is plain sizes and pairs: nothing here knows of networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Point = tuple[float, float]
ACROSS, DOWN = 22.0, 34.0  # pixels between two places of a layer, and between two layers
LANE = 6.0        # how wide a lane is
#: How much a wish to stay straight counts beside that of a box on the longest way: another box's, a lane's.
SIDE, LIGHT = 1e-3, 1e-6
MOST_LANES = 20_000  # places in lanes; if more are wanted, the longest wires go straight
SWEEPS = 2


@dataclass(frozen=True)
class Box:
    """A box to be placed. port_in, port_out: where wires arrive and leave, from its middle to the right."""

    width: float
    height: float
    port_in: float = 0.0
    port_out: float = 0.0


@dataclass
class Placement:
    """corners: of each box its upper left;  wires: the points of each, from box to box

    width, height: of all
    """

    corners: dict[str, Point] = field(default_factory=dict)
    wires: dict[tuple[str, str], list[Point]] = field(default_factory=dict)
    width: float = 0.0
    height: float = 0.0


@dataclass(eq=False)
class _Place:
    """A box or a piece of a lane in its layer.

    middle: x;  below: how many boxes the longest way down has;  before, after: those it is wired to
    """

    key: str
    layer: int
    box: Box
    lane: bool = False
    middle: float = 0.0
    order: float = 0.0
    below: int = 0
    before: list[_Place] = field(default_factory=list)
    after: list[_Place] = field(default_factory=list)


def layered(boxes: Mapping[str, Box], wires: Sequence[tuple[str, str]]) -> Placement:
    """Places for boxes that are wired without a circle, from top to bottom.

    boxes: in an order in which each stands behind all that it reads; the last stands lowest
    """
    if not boxes:
        return Placement()
    layers = _layers(boxes, wires)
    places = {key: _Place(key, layers[key], box) for key, box in boxes.items()}
    routes = _routes(places, wires)
    rows: list[list[_Place]] = [[] for _ in range(max(layers.values()) + 1)]
    for place in places.values():
        rows[place.layer].append(place)
    seen: set[int] = set()
    for route in routes.values():
        for place in route[1:-1]:
            if id(place) not in seen:
                seen.add(id(place))
                rows[place.layer].append(place)
    _order(rows)
    _straighten(rows)
    return _placed(rows, places, routes)


def _layers(boxes: Mapping[str, Box], wires: Sequence[tuple[str, str]]) -> dict[str, int]:
    before: dict[str, list[str]] = {key: [] for key in boxes}
    after: dict[str, list[str]] = {key: [] for key in boxes}
    for source, target in wires:
        before[target].append(source)
        after[source].append(target)
    layers: dict[str, int] = {}
    for key in boxes:
        layers[key] = 1 + max((layers[one] for one in before[key]), default=-1)
    for key in list(boxes)[:0:-1]:
        if not before[key] and after[key]:  # a constant: just above what reads it
            layers[key] = min(layers[one] for one in after[key]) - 1
    *others, last = boxes
    if not after[last]:  # where all leaves: below everything
        layers[last] = 1 + max((layers[key] for key in others), default=-1)
    return layers


def _routes(places: Mapping[str, _Place], wires: Sequence[tuple[str, str]]
            ) -> dict[tuple[str, str], list[_Place]]:
    """The places that each wire runs through, its boxes included; neighbours are told of each other."""
    spans: dict[str, int] = {}
    for source, target in wires:
        spans[source] = max(spans.get(source, 0), places[target].layer - places[source].layer - 1)
    longest = max(spans.values(), default=0)
    while sum(span for span in spans.values() if span <= longest) > MOST_LANES:
        longest //= 2
    lanes = {source: [_Place(source, places[source].layer + 1 + i, Box(LANE, 0.0), lane=True)
                      for i in range(span)] for source, span in spans.items() if span <= longest}
    routes, known = {}, set()
    for source, target in wires:
        span = places[target].layer - places[source].layer - 1
        routes[source, target] = route = [places[source], *lanes.get(source, [])[:span], places[target]]
        for one, other in zip(route, route[1:]):
            if (id(one), id(other)) not in known:
                known.add((id(one), id(other)))
                one.after.append(other)
                other.before.append(one)
    return routes


def _order(rows: Sequence[list[_Place]]) -> None:
    """Order each row by the barycentres of its neighbours, down and up again."""
    def number(row: list[_Place]) -> None:
        for order, place in enumerate(row):
            place.order = order - (len(row) - 1) / 2

    def sort(row: list[_Place], side: str) -> None:
        def wish(place: _Place) -> tuple[float, bool, float]:
            near = getattr(place, side)
            middle = sum(one.order for one in near) / len(near) if near else place.order
            return middle, place.lane, place.order

        if len(row) > 1:
            row.sort(key=wish)
        number(row)

    for row in rows:
        number(row)
    for _ in range(SWEEPS):
        for row in rows[1:]:
            sort(row, "before")
        for row in reversed(rows[:-1]):
            sort(row, "after")
    for row in rows[1:]:
        sort(row, "before")


def _straighten(rows: Sequence[list[_Place]]) -> None:
    """Each place below the mean of what it reads, boxes first, as near as its neighbours let it.

    The longest way is straight, and what is shorter goes round it.
    """
    for row in reversed(rows):
        for place in row:
            place.below = max((one.below for one in place.after), default=0) + (not place.lane)
    for row in rows:
        wishes, longest = [], max(place.below for place in row if not place.lane)
        for place in row:
            near = [one for one in place.before if not one.lane] or place.before
            wish = sum(one.middle + one.box.port_out for one in near) / len(near) if near else 0.0
            weight = LIGHT if place.lane else 1.0 if place.below == longest else SIDE
            wishes.append((wish - place.box.port_in, weight))
        for place, middle in zip(row, _apart(wishes, [place.box.width for place in row])):
            place.middle = middle


def _apart(wishes: Sequence[tuple[float, float]], widths: Sequence[float]) -> list[float]:
    """The middles nearest to the wishes (value, weight) that keep the order and the distance.

    Least squares under an order: neighbours that want to pass each other are moved as one (pool adjacent
    violators).
    """
    offsets = [0.0]
    for one, other in zip(widths, widths[1:]):
        offsets.append(offsets[-1] + (one + other) / 2 + ACROSS)
    groups: list[list[float]] = []  # sum of weight * value, weight, how many
    for (value, weight), offset in zip(wishes, offsets):
        groups.append([weight * (value - offset), weight, 1])
        while len(groups) > 1 and groups[-2][0] / groups[-2][1] > groups[-1][0] / groups[-1][1]:
            last = groups.pop()
            groups[-1] = [one + other for one, other in zip(groups[-1], last)]
    values = [total / weight for total, weight, count in groups for _ in range(int(count))]
    return [value + offset for value, offset in zip(values, offsets)]


def _placed(rows: Sequence[list[_Place]], places: Mapping[str, _Place],
            routes: Mapping[tuple[str, str], list[_Place]]) -> Placement:
    left = min(place.middle - place.box.width / 2 for row in rows for place in row)
    right = max(place.middle + place.box.width / 2 for row in rows for place in row)
    found = Placement(width=right - left)
    spans: list[Point] = []  # top and bottom of each row
    for row in rows:
        height = max(place.box.height for place in row)
        top = spans[-1][1] + DOWN if spans else 0.0
        spans.append((top, top + height))
    for key, place in places.items():
        top, bottom = spans[place.layer]
        y = (top + bottom - place.box.height) / 2
        found.corners[key] = place.middle - place.box.width / 2 - left, y
    for wire, (first, *lane, last) in routes.items():
        x, y = first.middle + first.box.port_out - left, found.corners[wire[0]][1] + first.box.height
        points = [(x, y), (x, spans[first.layer][1])]
        points += [(place.middle - left, y) for place in lane for y in spans[place.layer]]
        x = last.middle + last.box.port_in - left
        points += [(x, spans[last.layer][0]), (x, found.corners[wire[1]][1])]
        found.wires[wire] = [point for point, before in zip(points, [None, *points]) if point != before]
    found.height = spans[-1][1]
    return found
