"""Vectors as points on a plane: PCA, t-SNE, UMAP, and the `Map2D` that they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from explorer.display.charts import no_formulas
from explorer.inspection.features.result import Features
from explorer.inspection.features.vectors import normalised

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


METHODS = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
FEWEST = 4          # photos of a map
NEIGHBOURS = 15     # of UMAP
PERPLEXITY = 30     # of t-SNE
NO_UMAP = "UMAP needs the package umap-learn: pip install umap-learn. PCA and t-SNE are there without it."


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


# --- vectors [N, D] and a seed -> (points [N, 2], shares of variance or None, a sentence) -------------------


def _pca(vectors: np.ndarray, seed: int) -> tuple[np.ndarray, tuple[float, float] | None, str]:
    from sklearn.decomposition import PCA

    differ = bool((vectors != vectors[0]).any())
    exact = differ and min(vectors.shape) > 2  # arpack finds the first two exactly, without the others
    projection = PCA(2, svd_solver="arpack" if exact else "full", random_state=seed)
    with np.errstate(invalid="ignore"):  # a share of no variance is NaN, and below 0
        points = projection.fit_transform(vectors.astype(np.float64))
    shares = tuple(float(share) for share in np.nan_to_num(projection.explained_variance_ratio_))
    note = (f"A projection that keeps {sum(shares):.0%} of the variance: what is close here may be far apart "
            "in the other directions.")
    return points, shares, note


def _tsne(vectors: np.ndarray, seed: int) -> tuple[np.ndarray, None, str]:
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    unit = normalised(vectors)
    if min(unit.shape) > 50:
        unit = PCA(50, svd_solver="randomized", random_state=seed).fit_transform(unit)
    perplexity = min(PERPLEXITY, (len(unit) - 1) / 3)
    points = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(unit)
    note = (f"Perplexity {perplexity:.3g}, seed {seed}. Neighbours stay together; distances between groups "
            "and their sizes mean little.")
    return points, None, note


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
        plan = UMAP(n_neighbors=neighbours, metric="cosine", init=start, random_state=seed, n_jobs=1)
        points = plan.fit_transform(normalised(vectors))
    note = (f"{neighbours} neighbours, seed {seed}. Neighbours stay together; "
            "distances between groups mean little.")
    return points, None, note


PROJECTIONS = {"pca": _pca, "tsne": _tsne, "umap": _umap}
