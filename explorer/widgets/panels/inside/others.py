"""Looks of the gallery's photos other than the one on the screen, which some views show beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from explorer.widgets.gallery import Gallery, same_file
from explorer.widgets.jobs import Job
from explorer.widgets.session import Session

if TYPE_CHECKING:
    from explorer.inspection.look.result import Look

MOST_LOOKS = 24       # photos of the gallery that are looked at together
MOST_BYTES = 256e6    # of their feature maps, which are held as long as the model and this view stay


class OtherLooks:
    """What the model on the screen made of photos of the gallery;
    kept until `forget`, for one model and one gallery.
    """

    def __init__(self, session: Session):
        self.session = session
        self._of: tuple[Any, Gallery] | None = None  # the model and the gallery of what is kept
        self._kept: dict[str, Look] = {}             # by title, without their large photos

    def forget(self) -> None:
        self._of, self._kept = None, {}

    def photos(self, look: Look) -> Gallery:
        """The gallery's photos other than the one on the screen, no more than are looked at together."""
        session = self.session
        others = [(title, source) for title, source in session.gallery
                  if title != session.image_name and not same_file(source, session.image_source)]
        size = sum(4 * maps.numel() for maps in look.stages.values())
        return Gallery(others[:max(1, min(MOST_LOOKS, int(MOST_BYTES / max(1, size))))])

    def look_at(self, job: Job, model: Any, photos: Gallery) -> tuple[Gallery, list[Look], list[str]]:
        """(the photos that could be looked at, their looks, why others are missing); in the background.

        Where the job is stopped, those that it got.
        """
        from explorer.data.images import ImageError, load_image
        from explorer.inspection.look.looking import look as look_at

        found, looks, problems = [], [], []
        for number, (title, source) in enumerate(photos, 1):
            if job.ended():
                break
            kept = self._known(model, title)
            if kept is None:
                try:
                    seen = look_at(model, load_image(source))
                except ImageError as error:
                    problems.append(f"{title}: {error}")
                    continue
                kept = replace(seen, image=seen.seen)  # a camera's photo is as large as all its maps
                self._keep(model, title, kept)
            found.append((title, source))
            looks.append(kept)
            job.progress(number, len(photos))
        return Gallery(found), looks, problems

    def _known(self, model: Any, title: str) -> Look | None:
        with self.session.lock:
            return self._kept.get(title) if self._is_of(model) else None

    def _keep(self, model: Any, title: str, look: Look) -> None:
        with self.session.lock:
            if model is not self.session.model:  # another one is on the screen by now
                return
            if not self._is_of(model):
                self._of, self._kept = (model, self.session.gallery), {}
            self._kept[title] = look

    def _is_of(self, model: Any) -> bool:
        return self._of is not None and self._of[0] is model and self._of[1] is self.session.gallery
