"""The lessons of a dashboard: a row each, with what to do, what to see, and what is set for it.

    explorer.Dashboard(lesson="fool it")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from explorer.display.words import meant, nearest

USUAL = "tf_efficientnet_lite0"  # the model of a dashboard where nobody names one

HEAT, CHANGE = ("explain.switch.value", "Heat map"), ("explain.switch.value", "Change the photo")
GRAD_CAM = ("explain.heat_map.method.value", "gradcam")
BESIDE = "explain.heat_map.beside.value"


@dataclass(frozen=True)
class Lesson:
    """One preset of the dashboard.

    do, see: a sentence each, for a class;  elsewhere: what to see with another photo or another model
    photo:   the title of the bundled photo;  asks: the class that its heat map is about, "" for the likeliest
    models:  one name, or two side by side
    whole:   whether the second model is the first one, shown the whole photo
    by_tab:  whether what to do is done with controls of a tab, which basic mode lacks
    settings, with_photo: (place in the dashboard, value), set in this order; a method is called with the
                          value's parts. Those of `with_photo` are about this photo alone
    """

    name: str
    do: str
    see: str
    elsewhere: str
    photo: str
    asks: str = ""
    models: tuple[str, ...] = (USUAL,)
    whole: bool = False
    by_tab: bool = False
    settings: tuple[tuple[str, Any], ...] = ()
    with_photo: tuple[tuple[str, Any], ...] = ()


#: What is said of photos and answers here was measured with these models and the bundled photos; a test
#: does it again.
LESSONS: dict[str, Lesson] = {lesson.name: lesson for lesson in (
    Lesson(
        "why crops matter", photo="Naval officer", asks="military uniform", whole=True,
        do="Compare the answers of one network that is there twice: the first is given the middle of the "
           "photo, as usual, the second the whole of it between two bars; then click other photos.",
        see="The crop cuts into the cap, and the answer is academic gown; shown all of the photo, the same "
            "network says military uniform.",
        elsewhere="The dashed line is the edge of what the first network sees: what lies outside of it can't "
                  "be in its answer.",
        settings=(HEAT, GRAD_CAM, (BESIDE, "nothing"))),
    Lesson(
        "fool it", photo="Cameraman (greyscale)", by_tab=True,
        do="Move epsilon up and down: every value of the photo is pushed by so much, the way that hurts "
           "most.",
        see="One step of 255 is less than an eye can see, and the network takes the tripod for a harmonica.",
        elsewhere="The two photos look alike to you; from which strength on does the network say something "
                  "else?",
        settings=(CHANGE, ("explain.what_if.fgsm.on_top", ()), ("explain.what_if.fgsm.aim.value", "away"),
                  ("explain.what_if.fgsm.epsilon.value", 1 / 255))),
    Lesson(
        "spot the shortcut", photo="Space shuttle", by_tab=True,
        do="Draw another box on the photo: hide the cloud in place of the shuttle, then both.",
        see="The shuttle is hidden, and the answer is still space shuttle: the cloud of its launch is "
            "enough.",
        elsewhere="An answer that stays where the thing itself is hidden rests on something that comes along "
                  "with it, a shortcut.",
        settings=(CHANGE, ("explain.what_if.mask.on_top", ())),
        with_photo=(("explain.what_if.mask.hide", ((240, 40, 370, 290), "grey")),)),
    Lesson(
        "where it looks", photo="Bananas and a pomegranate", asks="pomegranate", by_tab=True,
        do="Click banana among the answers, then write pomegranate into the field Class again.",
        see="Asked about the pomegranate, the light lies on the red fruit; asked about the banana, on the "
            "yellow ones.",
        elsewhere="Each class has a heat map of its own: the light is where the evidence for that class is, "
                  "likely or not.",
        settings=(HEAT, GRAD_CAM, (BESIDE, "classes"))),
    Lesson(
        "two that disagree", photo="Dahlia", models=(USUAL, "tf_efficientnet_lite2"),
        do="Read both answers, then click other photos: where do the two agree, and where not?",
        see="Daisy, says the one, the nearest class there is, and honeycomb the other: neither has learnt of "
            "dahlias, and each has to say something.",
        elsewhere="Where two models that learnt the same classes disagree, trust neither too much.",
        settings=(HEAT, GRAD_CAM, (BESIDE, "nothing"))),
)}


def find_lesson(name: Any) -> Lesson:
    """The lesson of that name, however it is capitalised. Raises ValueError with the nearest name."""
    plain = " ".join(name.lower().split()) if isinstance(name, str) else ""
    if plain in LESSONS:
        return LESSONS[plain]
    hint = meant(nearest(plain, LESSONS, cutoff=0.5))
    raise ValueError(f"Unknown lesson {name!r}.{hint} There are: {', '.join(LESSONS)}.")


def check_lesson(name: Any, model: Any, models: Any) -> Lesson | None:
    """The lesson that a Dashboard was asked for, None for none. model, models: what it was given beside.

    What is given takes the place of what the lesson would open. Raises ValueError where it is another number
    of models.
    """
    if name is None:
        return None
    lesson = find_lesson(name)
    several = models is not None
    two = isinstance(models, (list, tuple)) and len(models) == 2
    if several and len(lesson.models) == 1:
        raise ValueError(f"The lesson {lesson.name!r} is about one model: give model= in place of models=; "
                         "another can be put beside it afterwards.")
    if len(lesson.models) == 2 and not (two if several else model == USUAL):
        raise ValueError(f"The lesson {lesson.name!r} is about two models: give models=[first, second], or "
                         "none.")
    return lesson
