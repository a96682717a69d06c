"""What the evaluation panel says in words of its own."""

from __future__ import annotations

from html import escape
from typing import Any

from explorer.display.words import sentence_of
from explorer.widgets.jobs import Job
from explorer.widgets.panels.evaluate.judgement import Judgement
from explorer.widgets.panels.work import meter_html

CONFUSION = "Which class is taken for which (confusion matrix)"
ROWS = "Rows are what the photos are, columns what they were taken for."
SEVERAL = ("A photo may have several classes here, so there is no one answer that could be confused with "
           "another, and no matrix. Press a class in the table to see its photos.")
NO_CURVE = "A curve needs photos of a class, and photos of others: there are none here."
NO_BOX_CURVE = "A curve needs a box of a class: there is none in these photos."

GUIDE = """
<p><b>What you see.</b> Each photo went through the model once, and its answer is held against the name of
its folder. The matrix counts photos: rows are what they are, columns what they were taken for; the diagonal
is right. <i>Recall</i>: of the photos of a class, how many were recognised. <i>Precision</i>: of the
answers with a name, how many are right. F1 is their harmonic mean. The reliability diagram asks whether 80
% sure means right in 80 of 100 answers; the bars should end on the dashed line (<a
href="https://arxiv.org/abs/1706.04599" target="_blank" rel="noopener">Guo et al., On Calibration of Modern
Neural Networks, 2017</a>). ROC and precision-recall curves show one class against all others at every
threshold.</p>
<p>A model that gives <b>numbers</b> is judged in their own unit: MAE is how far off it is on average, RMSE
counts large errors more, R² is the share of the spread that it explains. Compare the MAE with that of
guessing the mean.</p>
<p><b>Boxes</b> are judged by COCO's average precision (AP): boxes are taken the surest first; each
counts as right if it has the class of a thing that it overlaps by the IoU asked for (intersection over
union), and AP is the area under precision against recall. mAP is the mean over classes and over IoU 0.50
to 0.95. It takes every box, however unsure; what you would see with a score slider at one place stands
beside it (<a href="https://arxiv.org/abs/1405.0312" target="_blank" rel="noopener">Lin et al., Microsoft
COCO, 2014</a>).</p>
<p><b>Masks</b> are judged pixel by pixel: the IoU of a class is the pixels that are it and were said to
be, divided by those that are it or were said to be; mIoU is the mean over classes, so that a small one
counts as much as the background. Dice is 2 IoU / (1 + IoU). Pixels right flatters where one class fills
most of each photo.</p>
<p><b>What it does not prove.</b></p>
<ul>
<li><b>Few photos say little.</b> 9 of 10 right fits a model that is right in 60 of 100 cases as well as one
that is in 98. The interval beside top-1 (Wilson, 1927) says how far chance alone reaches; two models whose
intervals overlap widely may be equal. Judge both by the same photos, one after the other: then this page
says whether they really differ (McNemar's test of the photos that one alone is right about).</li>
<li><b>Only photos like these.</b> A new collection of the same classes usually gives lower figures (<a
href="https://arxiv.org/abs/1902.10811" target="_blank" rel="noopener">Recht et al., 2019</a>).</li>
<li><b>Right for a wrong reason.</b> A model may know the meadow, not the flower (<a
href="https://arxiv.org/abs/2004.07780" target="_blank" rel="noopener">Geirhos et al., Shortcut Learning,
2020</a>). Heat maps give hints; they are no proof either (<a href="https://arxiv.org/abs/1810.03292"
target="_blank" rel="noopener">Adebayo et al., 2018</a>).</li>
<li><b>Duplicates flatter.</b> A photo that is also among those it learnt from tests its memory (<a
href="https://arxiv.org/abs/1902.00423" target="_blank" rel="noopener">Barz and Denzler, 2020</a>); the
Train tab finds exact ones.</li>
<li><b>Labels err.</b> Look at the worst photos first: some are wrong names, not wrong answers.</li>
<li><b>Choosing is learning.</b> Who picks the best of many runs by these photos needs others for the final
figure.</li>
</ul>
"""


def against_html(judged: Judgement) -> str:
    """Whether the model really differs from the one that was judged before by the same photos."""
    if judged.against is None:
        return ""
    _, found = judged.against
    first = f"Held against {found.names[0]}, judged before by the same photos: {found.sentence}"
    said = [first, *found.notes]
    return f'<p class="vx-soft" role="status">{escape(" ".join(said))}</p>'


def how_far_html(job: Job, done: int, total: int, what: str) -> str:
    """The meter while photos are judged."""
    stopping = "Stopping after this batch." if job.stopped else ""
    return meter_html(done, total, what, "Working out the figures …" if done == total else stopping)


def problem_text(error: Any) -> str:
    """What went wrong, for a person; the traceback is in the log."""
    from explorer.data.folders import DataError

    text = str(error)
    if isinstance(error, DataError) and "(finetune)" in text:  # classes that the model does not know
        return f"{text} The Train tab teaches them; then choose the run beside 'Judge'."
    return sentence_of(error)
