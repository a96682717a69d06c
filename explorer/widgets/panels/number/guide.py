"""How a number is computed: what is seen of it, and what it does not prove."""

GUIDE = """
    <p><b>How is this number computed?</b> Enlarge a channel and click a cell. From the left: the photo
    with the part that the cell is computed from; the terms of the sum, the strongest first (what lies
    under the kernel times the kernel; blue adds, orange takes away); what is done to the sum; and the
    cell, equal but for rounding. What a stage gives is often a sum of two branches, or an activation: the
    steps say so, and a click on a channel or on the other branch goes on to the number behind it. A
    normalisation that was folded into its convolution is in the kernel. A large product is no proof of
    importance: what counts for the answer is what later layers make of it, and large terms of both signs
    may cancel. The frame holds every pixel that can have a part; “Effective field” shows how strongly
    each does, for this photo and by gradient: in trained networks the middle counts most (<a
    href="https://arxiv.org/abs/1701.04128">Luo and others, 2016</a>). The picture of patch, kernel and
    product is that of <a href="https://arxiv.org/abs/2004.15004">Wang and others, 2020: CNN
    Explainer</a>.</p>"""
