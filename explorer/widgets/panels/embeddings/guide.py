"""What the tab "Embeddings" shows, and what it does not prove."""

GUIDE = """
    <p><b>What you see.</b> Before a network names a photo, it sums it up in a vector of a few hundred to a
    few thousand numbers, the <i>embedding</i>. Photos that it takes for alike have vectors in about the
    same direction. The map squeezes these vectors into a plane: <b>PCA</b> is a plain projection;
    <b>t-SNE</b> (<a href="https://www.jmlr.org/papers/v9/vandermaaten08a.html">van der Maaten and Hinton,
    2008</a>) and <b>UMAP</b> (<a href="https://arxiv.org/abs/1802.03426">McInnes and others, 2018</a>) keep
    neighbours together. Click a point for its nearest photos by cosine distance, measured in all dimensions
    and not on the map.</p>
    <p><b>Probe and neighbours.</b> A linear probe is a logistic regression on the frozen vectors (<a
    href="https://arxiv.org/abs/1805.08974">Kornblith and others, 2018</a>); in the vote of the nearest
    neighbours nothing is learnt at all (<a href="https://arxiv.org/abs/1805.01978">Wu and others,
    2018</a>). The curve shows how many labelled photos of each class it takes; each dot is one draw of
    them.</p>
    <p><b>Stages of two models.</b> Linear CKA asks whether two stages place the same photos alike: 1 means
    the same but for a rotation and a scale (<a href="https://arxiv.org/abs/1905.00414">Kornblith and
    others, 2019</a>), estimated in batches without bias (<a href="https://arxiv.org/abs/2010.15327">Nguyen
    and others, 2020</a>).</p>
    <p><b>What it does not prove.</b> A plane can't hold a thousand dimensions. Distances between groups and
    the sizes of groups mean little in t-SNE and UMAP, and groups can appear where there are none. A low
    probe does not say that fine-tuning would fail. A high CKA does not say that two models make the same
    mistakes.</p>"""
