"""What the live camera shows, and what it does not prove."""

GUIDE = """
    <p><b>What you see.</b> Each frame is one photo to the network: it is scaled down in the browser, goes to
    the Python that runs this notebook and to nobody else, and is forgotten with the next. The bars are the
    likeliest classes of that frame. The heat map is <i>Grad-CAM</i>: where in the frame the score of a class
    comes from, the likeliest one or the one that you clicked. Inside the dashed line is what the network
    read. The maps are those of one stage that answer most at present; each keeps its place as long as it is
    among them. A frozen frame becomes the photo, and all tabs look at it.</p>
    <p><b>Try.</b> Hold something before the camera, turn it, come nearer, cover a part of it; click an answer
    and watch where it comes from; show a picture on your phone.</p>
    <p><b>What it does not prove.</b> Answers flicker: a network sees each frame alone and knows nothing of
    the one before, and small shifts are enough to change its mind (<a
    href="https://arxiv.org/abs/1805.12177">Azulay and Weiss, 2019: Why do deep convolutional networks
    generalize so poorly to small image transformations?</a>). A webcam's light, blur and backgrounds are not
    those of the photos that it learned from, and what is none of its classes gets one all the same: people
    are not among ImageNet's. The heat map's scale is each frame's own: the brightest place is 1 even where
    nothing matters much (<a href="https://arxiv.org/abs/1610.02391">Selvaraju and others, 2017:
    Grad-CAM</a>).</p>"""
