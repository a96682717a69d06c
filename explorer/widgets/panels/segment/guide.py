"""What a mask shows, how it is judged, and what it does not prove."""

GUIDE = """
    <p><b>What you see.</b> The network gives every pixel a score for each class; softmax makes shares of
    them, and the pixel takes the colour of the class with the largest. Below the photo stands how much of it
    each class has. Click a class, in the photo or in the list, to see it alone; the number under the pointer
    is how sure the network is there. <i>Probability</i> shows the share of one class everywhere, also where
    another one wins.</p>
    <p><b>Right or wrong.</b> Give the true mask below the photo: green pixels agree, yellow ones belong to
    the class and were missed, red ones were said to belong to it and do not, pink ones took one class for
    another. The intersection over union (IoU) of a class is the green area, divided by green, yellow and red
    together; the mean over the classes counts each alike, however small.</p>
    <p><b>Where the edges come from.</b> The backbone's last maps are coarse, 32 pixels a step in most: the
    decoder brings finer ones back, or dilation keeps them fine. See its stages under <i>Feature maps</i>.</p>
    <p><b>What it does not prove.</b> Every pixel gets one of the classes that the network knows, whatever it
    shows. A large share says little about small things: measures such as the mean intersection over union
    (mIoU) count each class alike (<a href="https://arxiv.org/abs/1411.4038">Long and others, 2015: Fully
    convolutional networks for semantic segmentation</a>).</p>"""
