"""What the boxes of a detector are, what stands behind them, and what they do not prove."""

GUIDE = """
    <p><b>What you see.</b> A detector looks at thousands of possible boxes at once, from a pyramid of maps:
    fine maps for small things, coarse ones for large. Each candidate gets a score for each class. The
    <i>score</i> slider hides those below it; of boxes of one class that overlap by more than the
    <i>overlap</i> slider says (intersection over union, IoU) the best stays: that is non-maximum suppression
    (NMS). Choose <i>before NMS</i> to see the heap that it clears. Both sliders choose among what one pass
    found; the network does not run again.</p>
    <p><b>Behind a box.</b> Click one: the dashed white box is its <i>anchor</i>, one of a few fixed shapes at
    each place of a map, which the network moves and stretches; the fine dashed ones are the candidates that
    NMS threw out for it. <i>Colours by level</i> shows which map of the pyramid it was found on (P3 has a
    place every 8 pixels, P7 every 128). <i>Anchors</i>: click a place of the photo, and see all shapes that
    the network starts from there; where the true boxes are known, also those that a training would call
    positive. Two boxes: their IoU is the area that they share, divided by the area that they cover together.
    1 is the same box, 0 no common pixel.</p>
    <p><b>Right or wrong.</b> Where the true boxes are known, a box is right (a true positive) that overlaps a
    true one of its class by an IoU of 0.5 or more; each true box counts once. What is left over is wrong (a
    false positive), and true boxes without one are missed (false negatives). Move the score slider: fewer
    wrong ones cost missed ones. <i>Evaluate</i> does the same over many photos and all thresholds.</p>
    <p><b>What it does not prove.</b> A score is no probability of being right, and it depends on the network:
    0.3 of one is not 0.3 of another. What overlaps a better box of its class is gone, also where there are
    two things (<a href="https://arxiv.org/abs/1705.02950">Hosang and others, 2017: Learning non-maximum
    suppression</a>). Anchors are from <a href="https://arxiv.org/abs/1506.01497">Ren and others, 2015: Faster
    R-CNN</a>, the pyramid from <a href="https://arxiv.org/abs/1612.03144">Lin and others, 2016: Feature
    pyramid networks</a>.</p>"""
