"""What the tab "Compare" shows, and what it does not prove."""

GUIDE = """
<p><b>What you see.</b> Each model looks at the same photos once. <i>Predictions</i>: the likeliest classes
of all models on one axis; models that know different classes are joined by the classes' names. <i>Heat
maps</i>: where each model's answer comes from (<a href="https://arxiv.org/abs/1610.02391">Grad-CAM,
Selvaraju et al., 2017</a>). <i>Feature maps</i>: what each model makes of the photo at the same stride,
that is, with the same number of pixels to a step. <i>Agreement</i>: on how many photos two models give the
same answer. <i>Accuracy and cost</i>: the dashed line joins the models that no other beats in both (the
Pareto front); a disc is as large as the model has parameters.</p>
<p><b>Of models that find boxes or masks</b> you see what each found, over the photo. Boxes of two models are
a pair where they are of the same class, by its name, and lie over each other by an IoU (intersection over
union) of 0.5 or more, one to one; agreement is the share of boxes that are in a pair, times the mean IoU of
the pairs (<a href="https://arxiv.org/abs/1801.00868">panoptic quality, Kirillov et al., 2019</a>, which is
the same from both sides). Of masks it is the mean IoU of the classes. Only models that answer with the same
kind of thing are compared: as the ticked ones do, or else the model on the screen.</p>
<p><b>How speed is measured.</b> The models take turns, pass by pass, after a few to warm up; shown are the
median and the quartiles, with the number of threads. Peak memory is the weights and the most that the
tensors of a pass take at any moment (on a GPU: that PyTorch's allocator gave out); what single operations
work in is not counted.</p>
<p><b>What it does not prove.</b></p>
<ul>
<li><b>Speed belongs to this computer.</b> Another processor, more threads or a GPU can turn the order
round; parameters and multiply-adds alone do not tell it either (<a
href="https://arxiv.org/abs/2110.12894">Dehghani et al., The Efficiency Misnomer, 2021</a>).</li>
<li><b>Published accuracy</b> is that of ImageNet's validation photos. On new photos of the same classes all
models do worse, by unequal amounts (<a href="https://arxiv.org/abs/1902.10811">Recht et al., 2019</a>), and
on your task the order may differ.</li>
<li><b>Two that agree may both be wrong.</b> Good models agree often for the simple reason that both are
often right (<a href="https://arxiv.org/abs/2006.16736">Geirhos et al., Beyond accuracy, 2020</a>).</li>
<li><b>One photo says little.</b> 3 of 4 right is no accuracy; take a folder.</li>
<li><b>Channel 5 of one model has nothing to do with channel 5 of another.</b> Look at what kinds of things
there are.</li>
</ul>
"""

DISAGREEMENTS = """
<p><b>What you see.</b> A row for each photo, a column for each model: its first answer, and the share that it
gives it. The photos on which the answers are farthest apart come first. How far is the <i>Jensen-Shannon
divergence</i> of the models' probabilities over all classes, in bits: the entropy of their mean less the mean
of their entropies (<a href="https://doi.org/10.1109/18.61115">Lin, 1991</a>). It is 0 where all give the same
probabilities, and log2 of the number of models (1 bit for two) where no two share a class. Two models can
give the same first answer and still be far apart, where one is sure and the other is not. ✓ right and ✗ wrong
stand where the class of a photo is known. A model that knows other classes than most of them has a column,
but no part in the bits. Disagreement of this kind is also how active learning chooses what to
label next (query by committee, <a href="https://doi.org/10.1145/130385.130417">Seung et al., 1992</a>).</p>
<p><b>What it does not prove.</b></p>
<ul>
<li><b>To agree is not to be right.</b> Networks that learnt from the same photos make the same mistakes more
often than chance would have it (<a href="https://arxiv.org/abs/2006.16736">Geirhos et al., 2020</a>).</li>
<li><b>Being sure counts.</b> A model that is sure of everything moves the bits more than one that spreads its
probability; how well these fit how often it is right is another question (<a
href="https://arxiv.org/abs/1706.04599">Guo et al., 2017</a>).</li>
<li><b>Near names are far apart.</b> “tabby” and “tiger cat” count as different as “tabby” and “pizza”.</li>
</ul>
"""
