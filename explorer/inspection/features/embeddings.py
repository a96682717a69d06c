"""Photos as points: those that a network takes for alike lie close together.

    photos = embed("tf_efficientnet_lite0", "flowers5")
    photos.nearest(0)                    # the photos that are most like the first one
    photos.nearest("my photo.jpg")       # or like any other
    photos.map2d("tsne").figure()        # all of them on a plane

A photo's embedding is the vector in front of the classifier. Distances are cosine distances: 0 for the same
direction, 1 for vectors that have nothing in common, 2 for opposite ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from explorer.arguments import checked
from explorer.data.images import ImageError
from explorer.data.transforms import create_transform, resolve_data_config
from explorer.display import draw
from explorer.display.html import RichRepr, picture_html
from explorer.inspection.features.store import Features, run_folder, vectors_and_logits
from explorer.inspection.look.looking import photo_for
from explorer.inspection.look.model import as_model
from explorer.models.contract import VisionModel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METHODS = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
BLOCK = 4096        # vectors that are in memory at a time
FEWEST = 4          # photos of a map
NEIGHBOURS = 15     # of UMAP
PERPLEXITY = 30     # of t-SNE
NO_UMAP = "UMAP needs the package umap-learn: pip install umap-learn. PCA and t-SNE are there without it."


@dataclass(frozen=True)
class Neighbour:
    """A photo close to the query: its place among the features, its name, its class ("" where it has none)."""

    index: int
    name: str
    distance: float
    label: str = ""


class Neighbours(list):
    """The nearest photos, the closest first, with the query in front when shown in a notebook."""

    def __init__(self, found: list[Neighbour], features: Features, query: Image.Image | int):
        super().__init__(found)
        self.features, self.query = features, query

    def _repr_html_(self) -> str:
        photos = [(self.query, "the query")]
        photos += [(one.index, f"{one.label or one.name}: {one.distance:.3f}") for one in self]
        pictures = []
        for photo, caption in photos:
            try:
                photo = self.features.open_photo(photo) if isinstance(photo, int) else photo
            except ImageError:  # its file has gone meanwhile
                continue
            pictures.append(picture_html(draw.thumbnail(photo, 110), caption, format="JPEG"))
        return f"<div style='display:flex;flex-wrap:wrap;gap:10px'>{''.join(pictures)}</div>"


def no_formulas(figure: Figure) -> Figure:
    """The figure, in which a dollar is a dollar: names of classes and models are no mathematics."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    return figure


@dataclass(eq=False, repr=False)
class Map2D:
    """Photos as points on a plane, in the order of the features.

    points: [N, 2] float32;  method: "pca", "tsne" or "umap";  seed: of its draws
    explained: share of the variance that the two axes of PCA hold; None for the others
    note: what the method is, and its settings, in a sentence
    """

    points: np.ndarray
    method: str
    seed: int
    features: Features
    explained: tuple[float, float] | None = None
    note: str = ""

    @property
    def title(self) -> str:
        return METHODS[self.method]

    def axes(self) -> tuple[str, str]:
        """What the two axes are called."""
        if self.explained is None:
            return f"{self.title} 1", f"{self.title} 2"
        return tuple(f"PC {i}: {share:.1%} of the variance" for i, share in enumerate(self.explained, 1))

    def figure(self) -> Figure:
        """The points with the colours of their classes."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 5.5), layout="constrained")
        self.plot(figure.subplots())
        return no_formulas(figure)

    def plot(self, axes: Axes) -> None:
        """Draw the points into a part of a figure."""
        from matplotlib import colormaps

        features, names = self.features, self.features.classes
        if features.labels is None:
            axes.scatter(*self.points.T, s=14)
        else:
            colours = colormaps["tab10" if len(names) <= 10 else "turbo"]
            labels = features.labels.numpy()
            for index, name in enumerate(names):
                colour = colours(index) if len(names) <= 10 else colours(index / max(len(names) - 1, 1))
                axes.scatter(*self.points[labels == index].T, s=14, color=colour,
                             marker="os^DvPX*"[index % 8], label=name)
            if len(names) <= 20:
                axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
        axes.set_xlabel(self.axes()[0])
        axes.set_ylabel(self.axes()[1])
        axes.set_title(f"{len(features):,} photos as {features.model_name} sees them, {self.title}",
                       fontsize=10)

    def __repr__(self) -> str:
        return f"Map2D({self.title}, {len(self.points)} photos, {self.features.model_name!r})"

    def _repr_png_(self) -> bytes:
        import io

        data = io.BytesIO()
        self.figure().savefig(data, format="png", dpi=100)
        return data.getvalue()


@dataclass(eq=False, repr=False)
class Embeddings(RichRepr):
    """Many photos with their vectors; `embed` makes it.

    features: names, labels, vectors and more, see `Features`;  model: the one that made them, for new photos
    """

    features: Features
    model: VisionModel | None = None

    def __len__(self) -> int:
        return len(self.features)

    @property
    def vectors(self) -> np.ndarray:
        """[N, D] float32"""
        return self.features.embeddings

    def __repr__(self) -> str:
        return f"Embeddings({self.features.model_name!r}, {self.features.sentence})"

    def _repr_html_(self) -> str:
        return self.features._repr_html_() + f"<p style='margin:.3em 0'>{escape('.nearest(0)  .map2d()')}</p>"

    def nearest(self, query: Any, count: int = 8) -> Neighbours:
        """The `count` photos closest to a query, by cosine distance, the closest first.

        query: the number of a photo here, which is then left out itself; or anything that `load_image` takes.
               A photo that is here under a number is found at distance 0
        """
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ValueError(f"count is {count!r}: expected how many photos to find, from 1.")
        if isinstance(query, (int, np.integer)) and not isinstance(query, bool):
            if not -len(self) <= query < len(self):
                raise IndexError(f"There is no photo {query}: use 0 to {len(self) - 1}.")
            own = photo = int(query) % len(self)
            vector = self.vectors[own]
        else:
            own, photo = None, query if self.model is None else photo_for(self.model, query)
            vector = self._vector_of(photo)
        distances = cosine_distances(vector, self.vectors)
        # NaN last; equal ones in the photos' order
        order = [int(i) for i in np.argsort(np.nan_to_num(distances, nan=np.inf), kind="stable") if i != own]
        features = self.features
        labels = features.labels.tolist() if features.labels is not None else None
        found = [Neighbour(i, features.names[i], float(distances[i]),
                           features.classes[labels[i]] if labels else "")
                 for i in order[:count]]
        return Neighbours(found, features, photo)

    def _vector_of(self, photo: Image.Image) -> np.ndarray:
        if self.model is None:
            raise ValueError("These embeddings have no model, so no new photo can be compared: make them with explorer.embed.")
        tensor = create_transform(**resolve_data_config({}, model=self.model))(photo)
        return vectors_and_logits(self.model, tensor[None])[0][0]

    def map2d(self, method: str = "pca", *, seed: int = 0) -> Map2D:
        """All photos on a plane.

        method: "pca"   the two directions in which the vectors differ most: a projection, quick, always the same
                "tsne"  keeps neighbours together, not distances: L. van der Maaten, G. Hinton, Visualizing Data
                        using t-SNE, JMLR 2008; on the 50 first principal components of the unit vectors
                "umap"  likewise, with more of the whole: L. McInnes, J. Healy, J. Melville, arXiv 1802.03426;
                        needs umap-learn

        Raises ValueError for another method, too few photos, or vectors that are not finite; ImportError
        without umap-learn.
        """
        if method not in METHODS:
            raise ValueError(f"Unknown method {method!r}: expected one of {', '.join(METHODS)}.")
        if len(self) < FEWEST:
            raise ValueError(f"{len(self)} photos are too few for a map: give at least {FEWEST}.")
        vectors = np.asarray(self.vectors, dtype=np.float32)
        if not np.isfinite(vectors).all():
            raise ValueError(f"Some vectors of {self.features.model_name} are not finite: choose a model with trained weights.")
        points, explained, note = _METHODS[method](vectors, seed)
        return Map2D(np.asarray(points, dtype=np.float32), method, seed, self.features, explained, note)


@checked
def embed(
    model: VisionModel | str, photos: Any, *, batch_size: int = 32,
    cache_dir: str | os.PathLike | None = None,
    on_progress: Callable[[int, int], None] | None = None, should_stop: Callable[[], bool] | None = None,
) -> Embeddings:
    """The embeddings of many photos, for neighbours and maps. Arguments and errors are those of `run_folder`."""
    model = as_model(model)
    features = run_folder(model, photos, batch_size=batch_size, cache_dir=cache_dir, on_progress=on_progress,
                          should_stop=should_stop)
    return Embeddings(features, model)


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Rows [N, D] at length 1, float32; rows of zeros stay."""
    vectors = np.asarray(vectors, dtype=np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def cosine_distances(vector: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """1 - cosine of one vector [D] with each row of [N, D] -> [N] float32, a block of rows in memory at a time."""
    query = normalised(np.asarray(vector)[None])[0]
    parts = [1 - normalised(vectors[start:start + BLOCK]) @ query for start in range(0, len(vectors), BLOCK)]
    return np.maximum(np.concatenate(parts), 0) if parts else np.zeros(0, np.float32)


# --- maps: vectors [N, D] and a seed -> (points [N, 2], shares of variance or None, a sentence) -------------


def _pca(vectors: np.ndarray, seed: int) -> tuple[np.ndarray, tuple[float, float] | None, str]:
    from sklearn.decomposition import PCA

    differ = bool((vectors != vectors[0]).any())
    exact = differ and min(vectors.shape) > 2  # arpack finds the first two exactly, without the others
    projection = PCA(2, svd_solver="arpack" if exact else "full", random_state=seed)
    with np.errstate(invalid="ignore"):  # a share of no variance is NaN, and below 0
        points = projection.fit_transform(vectors.astype(np.float64))
    shares = tuple(float(share) for share in np.nan_to_num(projection.explained_variance_ratio_))
    return points, shares, f"A projection that keeps {sum(shares):.0%} of the variance: what is close here may be far apart in " \
                           "the other directions."


def _tsne(vectors: np.ndarray, seed: int) -> tuple[np.ndarray, None, str]:
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    unit = normalised(vectors)
    if min(unit.shape) > 50:
        unit = PCA(50, svd_solver="randomized", random_state=seed).fit_transform(unit)
    perplexity = min(PERPLEXITY, (len(unit) - 1) / 3)
    points = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(unit)
    return points, None, f"Perplexity {perplexity:.3g}, seed {seed}. Neighbours stay together; distances between groups and " \
                         "their sizes mean little."


def _umap(vectors: np.ndarray, seed: int) -> tuple[np.ndarray, None, str]:
    try:
        from umap import UMAP
    except ImportError as error:
        raise ImportError(NO_UMAP) from error
    import warnings

    neighbours = min(NEIGHBOURS, len(vectors) - 1)
    with warnings.catch_warnings():
        # that a seed takes the threads away, and that few photos start from a random map
        warnings.simplefilter("ignore")
        start = "spectral" if len(vectors) > 10 else "random"
        points = UMAP(n_neighbors=neighbours, metric="cosine", init=start, random_state=seed,
                      n_jobs=1).fit_transform(
            normalised(vectors))
    return points, None, f"{neighbours} neighbours, seed {seed}. Neighbours stay together; distances between groups mean little."


_METHODS = {"pca": _pca, "tsne": _tsne, "umap": _umap}

__all__ = ["METHODS", "Embeddings", "Map2D", "Neighbour", "cosine_distances", "embed", "normalised"]
