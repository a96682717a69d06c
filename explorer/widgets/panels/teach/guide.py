"""What the tab "Teach" shows, and what it does not prove."""

GUIDE = """
<p><b>What you see.</b> Each card is a class. While you hold its button, or its digit, frames of the camera
become photos of it, five a second; files and folders can be dropped on it too. Photos lie in a folder with a
folder for each class, from the first one on: what learns from folders learns from these. What was taken in
one go is a <i>burst</i>, and stands together.</p>
<p><b>Try.</b> Turn what you hold, come nearer, change the light and the background, and begin again several
times: ten short bursts teach more than a long one. Collect a class of “nothing of these” too.</p>
<p><b>What it does not prove.</b> Frames of one burst are nearly the same picture. If one of them is learnt
from and the next one judges, the score says how well the network remembers, not how well it recognises: so
bursts are kept whole, and those that judge are others than those that are learnt from. And what differs
between your classes besides the thing, such as the background or the hand, is the easiest to learn (<a
href="https://arxiv.org/abs/2004.07780">Geirhos and others, 2020: Shortcut learning in deep neural
networks</a>): judge in another room, on another day. Few photos judge coarsely: of 20, each is 5 points.</p>
<p><b>To read.</b> <a href="https://arxiv.org/abs/1310.1531">Donahue and others, 2013: DeCAF</a>: what a
network has learnt of a thousand classes is enough to tell others apart from a few photos.</p>"""
