"""Photos as points: those that a network takes for alike lie close together.

    photos = embed("tf_efficientnet_lite0", "flowers5")
    photos.nearest(0)                    # the photos that are most like the first one
    photos.nearest("my photo.jpg")       # or like any other
    photos.vote("my photo.jpg")          # which class it is of, by the nearest ones
    photos.map2d("tsne").figure()        # all of them on a plane

A photo's embedding is the vector in front of the classifier; of a network for boxes or masks, the mean of its
backbone's deepest map. Distances are cosine distances: 0 for the same
direction, 1 for vectors that have nothing in common, 2 for opposite ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from PIL import Image

from explorer.arguments import checked
from explorer.data.images import ImageError
from explorer.display import draw
from explorer.display.html import LINE, RichRepr, picture_html
from explorer.display.words import counted, percent
from explorer.inspection.features.advice import advice_on_counts, advice_on_photos
from explorer.inspection.features.filling import vectors_and_logits
from explorer.inspection.features.folders import run_folder
from explorer.inspection.features.judging import labels_of_features
from explorer.inspection.features.maps import FEWEST, METHODS, PROJECTIONS, Map2D
from explorer.inspection.features.result import Features
from explorer.inspection.features.vectors import cosine_distances
from explorer.inspection.features.votes import votes_of
from explorer.inspection.look.faster import Faster
from explorer.inspection.look.looking import photo_for
from explorer.inspection.look.model import as_model
from explorer.inspection.look.own_inputs import transform_for
from explorer.models.contract import VisionModel


@dataclass(frozen=True)
class Neighbour:
    """A photo close to the query: its place among the features, its name, its class ("" where it has
    none).
    """

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


@dataclass(eq=False, repr=False)
class Vote(RichRepr):
    """What the nearest photos say that a photo shows; nothing is learnt for it.

    shares:  of the votes for each class, [K], 0 to 1;  classes: their names
    nearest: the photos that voted, the closest first
    """

    shares: np.ndarray
    classes: tuple[str, ...]
    nearest: Neighbours

    @property
    def label(self) -> str:
        """The class with most of the votes."""
        return self.classes[int(self.shares.argmax())]

    @property
    def sentence(self) -> str:
        share = percent(float(self.shares.max()))
        return f"{self.label}: {share} of the votes of its {counted(len(self.nearest), 'nearest photo')}"

    def __repr__(self) -> str:
        return f"Vote({self.sentence})"

    def _repr_html_(self) -> str:
        return f"<p style='{LINE}'>{escape(self.sentence)}</p>{self.nearest._repr_html_()}"


def vote_of(features: Features, vector: np.ndarray, query: Image.Image | int, *, k: int = 5,
            temperature: float = 0.07) -> Vote:
    """The vote of the k photos that are most like a vector [D], each weighing exp(cosine / temperature).

    query: the photo that the vector is of;  k: at most the number of photos
    Raises ValueError for photos without labels, or of one class. Source: as in `knn_accuracy`.
    """
    labels, classes = labels_of_features(features)
    cosines = 1 - cosine_distances(vector, features.embeddings)
    cosines = np.nan_to_num(cosines, nan=-1)[None]
    votes, nearest = votes_of(cosines, labels, len(classes), min(k, len(labels)), temperature)
    order = sorted(nearest[0].tolist(), key=lambda i: (-cosines[0, i], i))
    found = [Neighbour(i, features.names[i], float(1 - cosines[0, i]), classes[labels[i]]) for i in order]
    return Vote(votes[0] / max(votes[0].sum(), 1e-300), classes, Neighbours(found, features, query))


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
        return self.features._repr_html_() + f"<p style='{LINE}'>{escape('.nearest(0)  .map2d()')}</p>"

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
            own, (photo, vector) = None, self._photo_and_vector(query)
        distances = cosine_distances(vector, self.vectors)
        # NaN last; equal ones in the photos' order
        order = [int(i) for i in np.argsort(np.nan_to_num(distances, nan=np.inf), kind="stable") if i != own]
        features = self.features
        labels = features.labels.tolist() if features.labels is not None else None
        found = [Neighbour(i, features.names[i], float(distances[i]),
                           features.classes[labels[i]] if labels else "")
                 for i in order[:count]]
        return Neighbours(found, features, photo)

    def vote(self, photo: Any, *, k: int = 5, temperature: float = 0.07) -> Vote:
        """Which class a photo is of, by a vote of the k nearest photos here: an answer before anything is
        trained, from one photo of each of two classes on.

        photo: anything that `load_image` takes;  temperature: a vote weighs exp(cosine / temperature)
        Raises ValueError for photos without labels, or of one class.
        """
        if isinstance(k, bool) or not isinstance(k, int) or k < 1 or not temperature > 0:
            raise ValueError(f"k is {k!r} and temperature {temperature!r}: expected a number of neighbours "
                             "from 1, and one above 0.")
        labels_of_features(self.features)  # before a photo is looked at
        opened, vector = self._photo_and_vector(photo)
        return vote_of(self.features, vector, opened, k=k, temperature=temperature)

    def advice(self) -> list[str]:
        """What is wrong with these photos to learn from, in sentences: classes that are uneven, have few
        photos or one burst, and photos that are nearly the same picture. [] where nothing is, or they have no
        labels.
        """
        features = self.features
        if features.labels is None:
            return []
        found = np.bincount(features.labels.numpy(), minlength=len(features.classes)).tolist()
        return [*advice_on_counts(dict(zip(features.classes, found))), *advice_on_photos(features)]

    def _photo_and_vector(self, query: Any) -> tuple[Image.Image, np.ndarray]:
        if self.model is None:
            raise ValueError("These embeddings have no model, so no new photo can be compared: "
                             "make them with explorer.embed.")
        photo = photo_for(self.model, query)
        tensor = transform_for(self.model)(photo)
        return photo, Faster(self.model, vectors_and_logits)(tensor[None])[0][0]

    def map2d(self, method: str = "pca", *, seed: int = 0) -> Map2D:
        """All photos on a plane.

        method: "pca"   the two directions in which the vectors differ most: a projection, quick, always the
                same "tsne"  keeps neighbours together, not distances: L. van der Maaten, G. Hinton,
                        Visualizing Data using t-SNE, JMLR 2008; on the 50 first principal components of the
                        unit vectors
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
            raise ValueError(f"Some vectors of {self.features.model_name} are not finite: "
                             "choose a model with trained weights.")
        points, explained, note = PROJECTIONS[method](vectors, seed)
        return Map2D(np.asarray(points, dtype=np.float32), method, seed, self.features, explained, note)


@checked
def embed(
    model: VisionModel | str, photos: Any, *, batch_size: int = 32,
    cache_dir: str | os.PathLike | None = None,
    on_progress: Callable[[int, int], None] | None = None, should_stop: Callable[[], bool] | None = None,
) -> Embeddings:
    """The embeddings of many photos, for neighbours and maps. Arguments and errors: those of `run_folder`."""
    model = as_model(model, task=None)
    features = run_folder(model, photos, batch_size=batch_size, cache_dir=cache_dir, on_progress=on_progress,
                          should_stop=should_stop)
    return Embeddings(features, model)
