"""What a heat map shows, and what it does not prove."""

GUIDE = """
    <p><b>What you see.</b> A heat map over the photo: bright is what spoke for the chosen class, or
    raised the number, by the chosen method. <i>Grad-CAM</i> weighs the channels of a late stage by how
    much the class's score follows them, so it is as coarse as that stage's map. <i>Saliency</i> and its
    relatives ask each pixel how much the score would follow it. <i>Occlusion</i> covers one square
    after another and measures. <i>Attention</i> shows what a transformer's blocks mixed, for no class
    in particular. Of a network that finds boxes the score of one box is asked for, of one that finds
    masks the scores of a class where it was found. The dashed line marks what the network saw; outside
    of it nothing is known.</p>
    <p><b>What it does not prove.</b> A heat map is a claim about the model, not about the world, and
    methods disagree: look at several. Some hardly change when the weights are replaced by random ones,
    so a convincing picture is no evidence (<a href="https://arxiv.org/abs/1810.03292">Adebayo and
    others, 2018</a>). Bright on the dog does not say that the model would fail without the dog: cover
    it, under “Change the photo”, and see. The scale is each map's own: the brightest place is 1 even
    where nothing matters much.</p>
    <p><b>To read.</b> <a href="https://arxiv.org/abs/1610.02391">Selvaraju and others, 2017:
    Grad-CAM</a>; each method names its own paper.</p>"""
