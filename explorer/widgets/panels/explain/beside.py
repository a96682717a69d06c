"""What stands beside a heat map: the same method for others, or other methods for the same box or class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from explorer.widgets.jobs import Job
from explorer.widgets.panels.explain.asking import beside_each_other
from explorer.widgets.parts.photo_strip import Caption

if TYPE_CHECKING:
    from explorer.inspection.attribution.result import Attribution
    from explorer.inspection.look.result import Look

QUICK = 3  # passes that nobody is asked about
Strip = tuple[list[bytes], list[Caption], str]  # pictures, what they are called, and why some are missing


def others_of(found: Attribution, look: Look, model: Any, settings: dict[str, Any], beside: str,
              job: Job) -> Strip:
    """The same method for the likeliest classes or the best boxes, or the other quick methods for the same.

    settings: those that gave `found`; beside: "classes", "methods" or "nothing". Ends where `job` is stale.
    """
    from explorer.display.draw import jpeg_bytes, thumbnail
    from explorer.inspection.attribution.explaining import explain
    from explorer.inspection.attribution.methods import METHODS

    pictures, captions, left_out, method = [], [], [], METHODS[found.method]
    if beside == "classes" and not method.needs_class:
        left_out.append(f"{found.title} knows of no class: it would be the same picture for each.")
    elif beside == "classes":
        own = {name: value for name, value in settings.items() if name in method.options}
        if method.passes(model, **own) > QUICK:
            return [], [], (f"{found.title} is not quick enough to be drawn for every class: "
                            "choose another method.")
        rest = {name: value for name, value in settings.items() if name not in ("target", "box")}
        for asked, called in beside_each_other(look):
            if job.stale:
                break
            one = explain(model, look=look, **rest, **asked)
            pictures.append(jpeg_bytes(thumbnail(one.overlay(), 300)))
            captions.append(Caption(called))
    elif beside == "methods":
        number = getattr(found, "number", None)
        same = {} if number is None else {"box": number}
        for method in METHODS.values():
            if job.stale:
                break
            if method.name == found.method or method.refuses(model) or method.passes(model) > QUICK:
                continue
            target = {"target": found.target} if method.needs_class and found.target is not None else {}
            try:
                one = explain(model, look=look, method=method.name, **same, **target)
            except (ValueError, IndexError) as error:
                left_out.append(f"{method.title}: {error}")
                continue
            pictures.append(jpeg_bytes(thumbnail(one.overlay(), 300)))
            captions.append(Caption(method.title, title=method.idea))
    return pictures, captions, " ".join(left_out)
