"""What the panels of this tab show, what they do not prove, and where to read on."""

TREE = """
    <p><b>What you see.</b> The modules that the model is made of, as PyTorch nests them: how many
    numbers each holds (its parameters), the shape of what comes out for one photo, and how many
    multiply-adds that takes. A multiply-add is two floating-point operations (FLOPs); convolutions,
    matrix products and attention are counted, the small rest is not.</p>
    <p><b>What it does not prove.</b> Fewer parameters or operations do not make a model faster: memory
    traffic and the hardware decide as much (<a href="https://arxiv.org/abs/1807.11164">Ma and others,
    2018: ShuffleNet V2</a>). Each of these numbers alone can put two models into the opposite order (<a
    href="https://arxiv.org/abs/2110.12894">Dehghani and others, 2022: The Efficiency Misnomer</a>).
    Where much of the model lies is not where the answer is made.</p>"""

GRAPH = """
    <p><b>What you see.</b> The way of one photo through the network, from top to bottom. A box is a module
    or an operation between modules, its colour what it does; a block with + holds others. Beside a wire
    stands the shape of what goes through it (channels × rows × columns). A coloured wire is a skip
    connection: there is a longer way beside it, and both meet again. Equal blocks in a row are folded
    (× 6). A small picture is the strongest channel of what that module gives for this photo.</p>
    <p><b>What it does not prove.</b> It is the way that one pass took: a network that decides by its
    numbers where to go may take another for another photo. What is not drawn did nothing in this pass:
    dropout and the like rest while nobody trains. The length of the way says little of the time it takes,
    and that there is a wire does not tell how much of the answer goes through it: with skip connections
    most of the gradient takes short ways (<a href="https://arxiv.org/abs/1605.06431">Veit and others,
    2016</a>).</p>
    <p><b>To read.</b> <a href="https://arxiv.org/abs/1512.03385">He and others, 2015: Deep Residual
    Learning</a>; <a href="https://arxiv.org/abs/1608.06993">Huang and others, 2016: Densely Connected
    Convolutional Networks</a>.</p>"""

GIVEN = """
    <p><b>What you see.</b> What the selected module gives for this photo, before the next one reads it:
    every small picture is one channel, every pixel one place. Of tokens those that stand for places are put
    back where they belong; a vector is one value each.</p>
    <p><b>What it does not prove.</b> A bright place is a large number, not an important one: what counts is
    what the modules behind it make of it, and a normalisation right behind may turn the order round. A
    channel that lights up on the dog need not stand for dogs (<a
    href="https://arxiv.org/abs/1803.06959">Morcos and others, 2018</a>).</p>
    <p><b>To read.</b> <a href="https://arxiv.org/abs/1311.2901">Zeiler and Fergus, 2014: Visualizing
    and Understanding Convolutional Networks</a>.</p>"""
