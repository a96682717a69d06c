"""What the tab "Draw" shows, and what it does not prove."""

GUIDE = """
<p><b>What you see.</b> It is not the network that changes here but the picture: in each step a gradient says
for every pixel which way the score goes up, and the picture goes a little that way. The curve shows that
score, or for a style how far off it still is, step by step. Where the picture is moved and blurred before
each step, it is measured on that, so the curve trembles.</p>
<p><b>Feature visualization</b> begins with grey noise and draws what a class, or a channel of a stage,
answers to most (<a href="https://doi.org/10.23915/distill.00007" target="_blank" rel="noopener">Olah and
others, 2017</a>). So that it becomes a picture, it is made of waves (a Fourier basis) rather than pixels,
and it is moved, turned, blurred and grained a little each time. Early stages ask for edges and colours,
later ones for textures and parts.</p>
<p><b>A fooling picture</b> does without all that: noise of which the network is sure, or your photo, changed
so little that you may not see it, taken for something else (<a href="https://arxiv.org/abs/1412.1897"
target="_blank" rel="noopener">Nguyen, Yosinski and Clune, 2015</a>; <a href="https://arxiv.org/abs/1312.6199"
target="_blank" rel="noopener">Szegedy and others, 2014</a>). The difference is shown amplified.</p>
<p><b>Style transfer</b> keeps the maps that a photo has in one stage, and takes over which channels go
together in another picture (their Gram matrices), wherever that is in it (<a
href="https://doi.org/10.1109/CVPR.2016.265" target="_blank" rel="noopener">Gatys and others, 2016</a>).
They drew with VGG-19. Other networks do worse on pixels and nearly as well on waves, as here (<a
href="https://doi.org/10.23915/distill.00012" target="_blank" rel="noopener">Mordvintsev and others,
2018</a>).</p>
<p><b>What it does not prove.</b></p>
<ul>
<li><b>It is one of many pictures.</b> Another seed draws another one. What is not in it may raise the score
just as well.</li>
<li><b>It does not show what the network needs</b>, or what it looks at in photos: see Explain, and the photos
of a channel under Feature maps. A picture this strong is far from every photo that it learnt from.</li>
<li><b>Its look is half the method's.</b> Waves, blur and grain make it look natural, not the network.</li>
<li><b>A channel need not stand for one thing.</b> Most answer to several; the picture shows the strongest, or
a mixture.</li>
<li><b>Random weights</b> give pictures as well: textures of the architecture, not of anything learnt.</li>
<li><b>A fooled network is not a bad one.</b> All of this kind can be fooled; and a picture that fools one
often leaves another cold.</li>
</ul>
"""
