"""What the tab "Ensemble" shows, and what it does not prove."""

GUIDE = """
<p><b>What you see.</b> Each member looks at the same photos once; what it says is kept. The ensemble's
answer follows from these answers and from the weights, so a slider changes everything at once and no
network runs (<a href="https://doi.org/10.1007/3-540-45014-9_1" target="_blank" rel="noopener">Dietterich,
Ensemble Methods in Machine Learning, 2000</a>). <i>Soft voting</i> is the mean of the members'
probabilities, weighted; <i>logits</i> is the mean before the softmax; by <i>hard voting</i> each member
votes for its likeliest class, and of equal votes the probabilities decide. Weights are shares: 1 and 1 is
the same as 0.5 and 0.5. NLL is the negative log-likelihood of the right classes: it also minds how sure the
answer is, and less is better.</p>
<p><b>Fixes and breaks.</b> Photos that the ensemble is right and its best member wrong about, and the other
way round. McNemar's test asks whether so many more wins than losses could be chance.</p>
<p><b>Why it helps, when it does.</b> Errors that the members don't share are outvoted; those that they
share stay (<a href="https://doi.org/10.1109/34.58871" target="_blank" rel="noopener">Hansen and Salamon,
1990</a>). So two good models that often disagree gain more than three that always agree: look at the
agreement.</p>
<p><b>Fitted weights</b> make the NLL on these photos least, among weights that are not negative and add up
to 1. That problem has one valley, so there are no better ones for these photos.</p>
<p><b>What it does not prove.</b></p>
<ul>
<li><b>Weights that were chosen by these photos flatter on them</b>, whether they were fitted or moved by
hand until the figure was good. After a fit the panel also says what weights are worth that were fitted on
one half of the photos and judged by the other. For a final figure take photos that had no part in any
choice.</li>
<li><b>The best member was chosen by these photos too</b>, so its own figure is a little too good.</li>
<li><b>A gain of a point on a hundred photos is one photo.</b> Look at the interval and at the test before
you believe it.</li>
<li><b>An ensemble costs the passes of all its members.</b> One larger model may do as well for less: see
the Compare tab for time and size, and <code>explorer.distill</code>, which teaches one network what the
ensemble knows (<a href="https://arxiv.org/abs/1503.02531" target="_blank" rel="noopener">Hinton et al.,
2015</a>).</li>
<li><b>Agreement is no proof.</b> Members with the same training photos err alike.</li>
</ul>
<p><b>Boxes, masks and numbers.</b> In a cell, <code>explorer.Ensemble([a, b])</code> joins detectors by
weighted box fusion, networks for masks by the mean of their probabilities and networks for numbers by their
mean; the panels show what comes of it like any other model.</p>
"""
