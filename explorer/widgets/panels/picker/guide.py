"""What the picker shows, and what it does not prove."""

GUIDE = """
    <p><b>What you see.</b> Every architecture that explorer can build, by family and year, with its
    size and, for the weights that are published, how often its first answer is right on ImageNet's
    50,000 validation photos (top-1). That accuracy is what the authors of the weights state; it was not
    measured here.</p>
    <p><b>The points</b> are the models whose default weights answer with ImageNet's 1,000 classes and
    have a published top-1. The figures come with explorer, in a table: for most of them timm's tables of
    results, for AlexNet, GoogLeNet, ShuffleNetV2 and SqueezeNet torchvision's own. Each was measured
    with square photos of the size that the weights expect (most of 224 pixels; hovering says it), and the
    multiply-adds are those of one photo of that size; a multiplication with its addition counts as one.
    Parameters include the classifier. What is not published is not drawn: weights of other classes, image
    encoders, detectors, segmenters, and networks without weights. The axis of the costs is logarithmic.</p>
    <p><b>What it does not prove.</b> Two accuracies compare two <i>trainings</i>, not two
    architectures: a ResNet-50 of 2015, trained as in 2021, gains four points (<a
    href="https://arxiv.org/abs/2110.00476">Wightman and others, 2021: ResNet strikes back</a>). Weights
    that saw other photos first, or larger ones, have an advantage that the table does not show. Few
    multiply-adds do not mean fast (<a href="https://arxiv.org/abs/1807.11164">Ma and others, 2018</a>),
    and the best model on ImageNet need not be the best on your photos (<a
    href="https://arxiv.org/abs/1805.08974">Kornblith and others, 2019</a>).</p>
    <p>Each family's paper is linked on its models' cards. Read a licence before you build on
    weights.</p>"""
