"""What the Search tab shows, and what that does not prove."""

GUIDE = """
<p><b>What you see.</b> A search teaches the same photos again and again, each time with other settings (a
<i>trial</i>), and sorts them by the photos that no trial learns from. A setting with one value is the same in
all trials; one with several values, or with a range, is searched. <i>Random</i> draws combinations by the
seed; a <i>grid</i> takes every one; <i>TPE</i> chooses each by those before, once ten are there; with
<i>halving</i> the worse part is given up after the first epochs, so that the time goes to the better ones.
The table has a row for each trial, the chart a curve; a press on a trial's number draws that curve
alone.</p>
<p><b>Which settings matter.</b> The bars say how much of the difference between the trials each setting
explains by itself (functional ANOVA, <a href="https://proceedings.mlr.press/v32/hutter14.html">Hutter, Hoos
and Leyton-Brown, 2014</a>). The lines beside them lead from each trial's settings to its figure: where lines
of one colour come together, that value helps, or harms.</p>
<p><b>What it does not prove.</b></p>
<ul>
<li><b>The winner is too good.</b> Of many trials the best one was also the luckiest on these photos. Judge
it by photos that no trial has seen (<a href="https://www.jmlr.org/papers/v11/cawley10a.html">Cawley and
Talbot, 2010: On Over-fitting in Model Selection</a>).</li>
<li><b>Small differences are chance.</b> With 40 photos to judge by, one photo is 2.5 points. Trials that are
as close as that are equally good: take the simpler one.</li>
<li><b>A few trials do not fill a space.</b> Random ones cover each single setting better than a grid of the
same size (<a href="https://www.jmlr.org/papers/v13/bergstra12a.html">Bergstra and Bengio, 2012</a>), but
eight of them say little about how two settings go together, and importances of so few are coarse.</li>
<li><b>What is best here holds here:</b> for these photos, so many epochs, and the range that was given. A
winner at the end of its range asks for a wider one.</li>
</ul>
"""
