"""One photo and what lies over it: heat map, mask, boxes, patches, a frame, a box that the reader draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import traitlets as t

from explorer.display.legend import LEAST, MOST
from explorer.display.words import counted

from .base import ExplorerPart
from .overlay_values import (
    MAX_SIDE,
    checked_box,
    checked_chosen,
    checked_colours,
    checked_place,
    every,
    means,
    one_byte_each,
    palette,
)

MAX_BOXES = 100_000  # more than the candidates of any detector before its NMS
_UNPAINTED = 0xFFFF  # a place of the mask that has no class
_BACKGROUND = ("background", "__background__")  # how data sets and torchvision call it; it is not painted

Listener = Callable[[tuple[int, ...]], None]


class PhotoOverlay(ExplorerPart, files="photo_overlay"):
    """A photo, the layers over it, and what the reader points out.

    ``show`` sends the photo once and takes every layer of the one before away; ``heat``, ``mask``, ``boxes``,
    ``ghosts`` and ``frame`` lay one each over it, and None or () takes it away. Colours and strengths are the
    browser's, so the sliders under the photo ask nobody. All of them may be called from any thread.

    The reader points with the mouse, a finger or the keys, and these hear of it:

    - ``on_box``: where ``draws`` is set, a box is drawn (arrows move it, Shift and arrows change its size,
      Delete takes it away);
    - ``on_place``: where there are patches and ``picks`` is set, a click picks one, a click on the picked one
      lets it go (arrows move, Escape lets go);
    - ``on_spot``: where ``spots`` is set, a click on no box points out a place of the photo (arrows move it,
      Escape lets go);
    - ``on_chosen``: a click chooses a box, a second click lets it go (arrows, or Page Up and Page Down where
      the arrows have other work, go from box to box, Enter chooses, Escape lets go); ``choices`` says how
      many at a time.

    A click on a class of the mask, or on its name, shows it alone.
    """

    _reader_traits = ("alpha", "mask_alpha", "lines", "outlines", "isolated")

    label = t.Unicode("Photo", help="what a screen reader calls the picture").tag(sync=True)
    side = t.Int(384, min=64, max=1024, help="longest side on the screen, in pixels").tag(sync=True)
    alpha = t.Float(0.5, help="strength of the heat map: 0 the photo alone, 1 the heat alone").tag(sync=True)
    slider = t.Bool(True, help="whether a heat map comes with a slider for its strength").tag(sync=True)
    mask_alpha = t.Float(0.5, help="strength of the mask, as alpha").tag(sync=True)
    isolated = t.Int(-1, help="the class of the mask that is shown alone, or -1 for all").tag(sync=True)
    lines = t.Bool(True, help="whether the lines between the patches are drawn").tag(sync=True)
    picks = t.Bool(True, help="whether a patch can be picked").tag(sync=True)
    place = t.Tuple(help="(row, column) of the picked patch, or () for none").tag(sync=True)
    spots = t.Bool(False, help="whether a place can be pointed out").tag(sync=True)
    spot = t.Tuple(help="the place that is pointed out: (x, y) in pixels, or ()").tag(sync=True)
    outlines = t.Bool(True, help="whether the boxes are drawn").tag(sync=True)
    choices = t.Int(1, min=0, help="how many boxes can be chosen at a time").tag(sync=True)
    chosen = t.Tuple(help="the chosen boxes, by their place in what `boxes` was given").tag(sync=True)
    draws = t.Bool(False, help="whether a box can be drawn").tag(sync=True)
    box = t.Tuple(help="the drawn box: (left, top, right, bottom) in pixels, or ()").tag(sync=True)

    _photo = t.Dict().tag(sync=True, echo_update=False)
    _heat = t.Dict().tag(sync=True, echo_update=False)
    _mask = t.Dict().tag(sync=True, echo_update=False)
    _boxes = t.Dict().tag(sync=True, echo_update=False)
    _ghosts = t.Dict().tag(sync=True, echo_update=False)
    _sweep = t.Dict().tag(sync=True, echo_update=False)
    _frame = t.List().tag(sync=True, echo_update=False)

    @t.validate("alpha", "mask_alpha")
    def _a_share(self, proposal):
        if not 0 <= proposal["value"] <= 1:  # NaN is neither below 0 nor above 1
            raise t.TraitError(f"{proposal['trait'].name} is from 0 to 1, not {proposal['value']}.")
        return proposal["value"]

    @t.validate("isolated")
    def _a_class(self, proposal):
        known, value = len(self._mask.get("names", ())), proposal["value"]
        if isinstance(value, bool) or not -1 <= value < known:
            raise t.TraitError(f"isolated is -1 for all or one of the mask's {known} classes, not {value}.")
        return value

    def __init__(self, **kwargs: Any):
        self._listeners: dict[str, list[Listener]] = {"box": [], "place": [], "spot": [], "chosen": []}
        self._generation = 0                # of the boxes: a click on the ones before is not heard
        super().__init__(**kwargs)

    # --- layers -----------------------------------------------------------------------------------------

    def show(self, image: Any, *, grid: tuple[int, int] = (0, 0), label: str = "Photo") -> None:
        """Show a PIL image; all that lay over the one before goes. grid: (rows, columns) of its patches."""
        from explorer.display import draw

        data = draw.jpeg_bytes(draw.thumbnail(image.convert("RGB"), MAX_SIDE))
        with self._lock:
            if not self._closed:
                self._bare()
                self.label = label
                self._photo = {"data": data, "width": image.width, "height": image.height,
                               "rows": grid[0], "columns": grid[1]}

    def clear(self) -> None:
        with self._lock:
            if not self._closed:
                self._bare()
                self._photo = {}

    def _bare(self) -> None:
        self._heat, self._frame, self.box, self.place, self.chosen, self._boxes = {}, [], (), (), (), {}
        self.isolated, self._mask, self.spot, self._ghosts, self._sweep = -1, {}, (), {}, {}

    def heat(self, values: Any, *, colormap: str = "magma", own_range: bool = False, label: str = "",
             ends: tuple[str, str] = (LEAST, MOST)) -> None:
        """Lay a heat map [h, w] of values in 0..1 over the photo, stretched over all of it; None: none.

        own_range: from the map's lowest to its highest value instead, whatever they are
        colormap:  one of `draw.COLORMAPS`;  label: replaces the one of `show`, where given
        ends:      what the colours at both ends mean, below the photo; of an own range its two values
        A map of one value a patch is drawn in squares, and the value under the pointer is read out.
        """
        from explorer.display import draw

        found: dict[str, Any] = {}
        if values is not None:
            endless = 0 if own_range else 1  # such a value has no place in the map's own range
            values = means(np.nan_to_num(np.asarray(values, np.float32), posinf=endless, neginf=0))
            low, high = (float(values.min()), float(values.max())) if own_range else (0.0, 1.0)
            height, width = values.shape
            ends = (f"{low:.3g}", f"{high:.3g}") if own_range else ends
            found = {"data": one_byte_each(values, low, high), "width": width, "height": height, "ends": ends,
                     "low": low, "high": high, "colours": draw.colormap(colormap).tobytes()}
        with self._lock:
            if not self._closed:
                self._heat = found
                if label:
                    self.label = label

    def sweep(self, squares: Sequence[Sequence[float]], *, seconds: float = 0.0) -> None:
        """Let a square go over the photo, from one of these boxes to the next in so many seconds, and stay at
        the last; at once for readers who want no motion. No box: no square.
        """
        boxes = [[float(edge) for edge in square] for square in squares]
        with self._lock:
            if not self._closed:
                self._sweep = {"boxes": boxes, "seconds": float(seconds)}

    def frame(self, box: Sequence[float] | None) -> None:
        """Mark a part of the photo by a fine line, such as what the network saw; None or () for none."""
        with self._lock:
            if not self._closed:
                self._frame = [float(edge) for edge in (() if box is None else box)]

    def boxes(self, edges: Any, *, labels: Sequence[str] = (), scores: Any = None,
              colours: Sequence[str] = (), texts: Sequence[str] = ()) -> None:
        """Draw boxes [N, 4]: left, top, right, bottom in the photo's pixels. None or no box: none.

        labels: the name on each;  scores: in 0..1, behind the name;  texts: more, for who points at a box
        colours: '#rrggbb' for each; without them, every label has its own
        The first is drawn on top, and its name is placed first. Raises ValueError where one list is longer
        than another, for boxes of another shape, and for more than MAX_BOXES.
        """
        found: dict[str, Any] = {}
        edges = np.zeros((0, 4), np.float32) if edges is None else np.asarray(edges, np.float32)
        count = len(edges)
        if edges.size and (edges.ndim != 2 or edges.shape[1] != 4):
            raise ValueError(f"The boxes have the shape {list(edges.shape)}: expected [N, 4], left, top, "
                             "right and bottom of each in pixels of the photo.")
        if count > MAX_BOXES:
            raise ValueError(f"There are {count:,} boxes: a page draws up to {MAX_BOXES:,}. "
                             "Keep those with the best scores.")
        scores = () if scores is None else np.asarray(scores, np.float32)
        for name, given in (("labels", labels), ("scores", scores), ("colours", colours), ("texts", texts)):
            if len(given) not in (0, count):
                raise ValueError(f"{counted(len(given), name[:-1])} for {counted(count, 'box', 'es')}: "
                                 "give one for each box, or none.")
        if edges.size:
            names = list(dict.fromkeys(map(str, labels))) or [""]
            at = {name: index for index, name in enumerate(names)}
            kinds = np.array([at[str(label)] for label in labels] or [0] * count, np.uint32)
            found = {"edges": edges.tobytes(), "kinds": kinds.tobytes(), "names": names,
                     "scores": np.asarray(scores, np.float32).tobytes(), "texts": list(map(str, texts)),
                     "colours": checked_colours(colours or palette(len(names))), "each": len(colours) > 0}
        with self._lock:
            if not self._closed:
                self._generation += 1
                self.chosen = ()
                self._boxes = {**found, "generation": self._generation} if found else {}

    def ghosts(self, edges: Any, *, colours: Sequence[str] = (), fine: bool = False) -> None:
        """Draw boxes [N, 4] that nobody can point at, dashed and below the others: known ones, anchors.

        colours: '#rrggbb' for each, else white;  fine: as hairlines, for many
        Raises ValueError as `boxes` does.
        """
        edges = np.zeros((0, 4), np.float32) if edges is None else np.asarray(edges, np.float32)
        if edges.size and (edges.ndim != 2 or edges.shape[1] != 4 or len(edges) > MAX_BOXES):
            raise ValueError(f"The boxes have the shape {list(edges.shape)}: expected [N, 4], left, top, "
                             f"right and bottom of each in pixels of the photo, {MAX_BOXES:,} at most.")
        if len(colours) not in (0, len(edges)):
            raise ValueError(f"{counted(len(colours), 'colour')} for {counted(len(edges), 'box', 'es')}: "
                             "give one for each box, or none.")
        found = {"edges": edges.tobytes(), "colours": checked_colours(colours), "fine": fine}
        with self._lock:
            if not self._closed:
                self._ghosts = found if edges.size else {}

    def mask(self, codes: Any, *, names: Sequence[str] = (), colours: Sequence[str] = (),
             values: Any = None, reads: str = "") -> None:
        """Paint the class of every place: codes [h, w], each the index of a name. None: no mask.

        colours: '#rrggbb' for each class, '' for one not to paint; else all but "background" have one
        values:  [h, w] in 0..1, such as the probability of that class; the one under the pointer is read out
        reads:   what the values are of, where it is not each place's own class
        It is stretched over all of the photo. An index without a name, such as one to ignore, is not painted.
        Instances are a mask too: one index and name for each. A class that is shown alone stays so while the
        names are the same. Raises ValueError where codes, values, names and colours do not fit each other.
        """
        found: dict[str, Any] = {}
        if codes is not None:
            codes = np.asarray(codes)
            if codes.ndim != 2 or codes.dtype.kind not in "iub" or not codes.size:
                raise ValueError(f"The mask has the shape {list(codes.shape)} and holds {codes.dtype}: "
                                 "expected [h, w] of whole numbers, the index of a class at each place.")
            if not 0 < len(names) < _UNPAINTED:
                raise ValueError(f"The mask has {counted(len(names), 'name')}: "
                                 f"give one for each class, up to {_UNPAINTED - 1:,}.")
            names = [str(name) for name in names]
            usual = ["" if name.lower() in _BACKGROUND else colour
                     for name, colour in zip(names, palette(len(names)))]
            if len(colours) not in (0, len(names)):
                raise ValueError(f"{counted(len(colours), 'colour')} for {counted(len(names), 'name')}: "
                                 "give one for each, or none.")
            known = (codes >= 0) & (codes < len(names))
            codes = np.where(known, codes, _UNPAINTED).astype(np.uint16)
            shares = np.bincount(codes[known], minlength=len(names)) / codes.size
            small = every(codes)
            found = {"data": small.tobytes(), "width": small.shape[1], "height": small.shape[0],
                     "names": names, "colours": checked_colours(colours or usual), "shares": shares.tolist(),
                     "reads": reads}
            if values is not None:
                values = np.nan_to_num(np.asarray(values, np.float32))
                if values.shape != codes.shape:
                    raise ValueError(f"The values have the shape {list(values.shape)} and the mask "
                                     f"{list(codes.shape)}: give one value for each place.")
                found["values"] = one_byte_each(every(values), 0, 1)
        with self._lock:
            if not self._closed:
                if found.get("names") != self._mask.get("names"):
                    self.isolated = -1
                self._mask = found

    # --- what the reader points out ---------------------------------------------------------------------

    def on_box(self, callback: Callable[[tuple[int, ...]], None]) -> None:
        """Call ``callback(box)`` when the reader has drawn, moved or taken away the box."""
        self._listeners["box"].append(callback)

    def on_place(self, callback: Callable[[tuple[int, ...]], None]) -> None:
        """Call ``callback(place)`` when the reader has picked a patch, or let it go."""
        self._listeners["place"].append(callback)

    def on_spot(self, callback: Callable[[tuple[int, ...]], None]) -> None:
        """Call ``callback(spot)`` when the reader has pointed out a place, or let it go."""
        self._listeners["spot"].append(callback)

    def on_chosen(self, callback: Callable[[tuple[int, ...]], None]) -> None:
        """Call ``callback(chosen)`` when the reader has chosen a box, or let it go."""
        self._listeners["chosen"].append(callback)

    def _on_message(self, kind: Any, content: dict[str, Any], buffers: Any) -> None:
        if not isinstance(kind, str) or kind not in self._listeners:
            return super()._on_message(kind, content, buffers)
        photo, drawn = self._photo, self._boxes
        if kind == "box":
            size = (photo.get("width", 0), photo.get("height", 0))
            found = checked_box(content.get("box"), size) if self.draws else None
        elif kind == "spot":
            size = (photo.get("width", 0), photo.get("height", 0))
            found = checked_place(content.get("spot"), size) if self.spots else None
        elif kind == "place":
            grid = (photo.get("rows", 0), photo.get("columns", 0))
            found = checked_place(content.get("place"), grid) if self.picks else None
        else:
            theirs = drawn and content.get("generation") == drawn["generation"]
            count = len(drawn["edges"]) // 16 if theirs else 0
            found = checked_chosen(content.get("chosen"), count, self.choices)
        if found is None:
            return
        self._take(kind, found)
        for callback in list(self._listeners[kind]):
            callback(found)

    def _release(self) -> None:
        for listeners in self._listeners.values():
            listeners.clear()
        self._photo, self._heat, self._mask, self._boxes, self._ghosts = {}, {}, {}, {}, {}

    def __repr__(self) -> str:
        return f"PhotoOverlay({self.label!r})"
