"""What "Inside the model" shows, and what it does not prove."""

GUIDE = """
    <p><b>What you see.</b> <i>Colours of a stage</i>: the three directions in which the places of a stage's
    map differ most, as red, green and blue; places of like colour look alike to the model (<a
    href="https://arxiv.org/abs/2104.14294">Caron and others, 2021: DINO</a>; <a
    href="https://arxiv.org/abs/2304.07193">Oquab and others, 2023: DINOv2</a>). <i>First filters</i>: the
    weights that meet the photo's own pixels; grey is zero (<a
    href="https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks"
    >Krizhevsky and others, 2012</a>). <i>Activations</i>: how the numbers of each stage are spread, and
    which channels stay silent. <i>Gradient flow</i>: how strongly each layer would be asked to change by
    this photo (<a
    href="https://proceedings.mlr.press/v9/glorot10a.html">Glorot and Bengio, 2010</a>). <i>Attention</i>:
    from which places each head of a transformer takes what it mixes (<a
    href="https://arxiv.org/abs/1706.03762">Vaswani and others, 2017</a>; <a
    href="https://arxiv.org/abs/2010.11929">Dosovitskiy and others, 2020</a>). <i>Photos of a channel</i>:
    those to which one channel answers most (<a href="https://arxiv.org/abs/1311.2901">Zeiler and Fergus,
    2014</a>).</p>
    <p><b>What it does not prove.</b> A colour means “alike” or “different” within these pictures, and its
    order says nothing of importance. Noise in filters is a sign of little training, no proof. A channel
    that is silent on a few photos may speak on others, and behind another function than a ReLU “never above
    0” is not dead. Gradients are small where the model is sure already: compare the shape of the curve, not
    its height. Attention tells what is mixed, not what decides; very different attention can lead to the
    same answer (<a href="https://arxiv.org/abs/1902.10186">Jain and Wallace, 2019</a>). A few photos always
    have something in common: look at more than one folder before you give a channel a name.</p>"""
