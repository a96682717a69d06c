"""The picture while it is drawn, by what is learnt of it: the strengths of its waves, or its pixels.

Gradient ascent on pixels gives noise: neighbouring pixels of photos are alike and so are their three colours,
and steps that know nothing of it leave what a photo can be. So `Waves` takes the steps where photos are
simple: in each wave's strength (a Fourier basis, long waves first, as in photos), and along the axes on which
the colours of photos are independent of each other.
Source: Olah, Mordvintsev and Schubert 2017, "Feature Visualization", section "Preconditioning and
Parameterization".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: The principal axes of the colours of ImageNet's photos (columns: brightness, blue to yellow, green to
#: magenta; rows: red, green, blue), and the variance along each. Source: Krizhevsky et al. 2012, section 4.1;
#: the numbers as later training recipes publish them.
AXES = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
VARIANCES = (0.2175, 0.0188, 0.0045)
START = 0.01  # deviation of the seeded noise that it begins with: hardly any contrast
CONTRAST = 0.25  # of one step in a wave's strength
EDGE = 1 / 510  # half a step of an 8-bit picture: nearer to black or white no pixel of a photo begins
FALL = 1.25  # how much less a step counts in shorter waves; 1 is as in photos, and leaves a mesh of dots


class Canvas:
    """A picture [1, C, H, W] in 0..1, and what is learnt of it.

    shape: (C, H, W);  photo: pixels [C, H, W] in 0..1 to begin with in place of noise
    """

    def __init__(self, shape: tuple[int, int, int], generator: torch.Generator, photo: Tensor | None = None):
        self.channels, self.height, self.width = shape
        if photo is None:
            noise = torch.randn(self.learnt_shape(), generator=generator, dtype=torch.float32)
            self.learnt = (START * noise).requires_grad_()
        else:
            self.learnt = self.learnt_of(photo).requires_grad_()

    def learnt_of(self, photo: Tensor) -> Tensor:
        """What is learnt where the picture is this one [C, H, W]."""
        raise NotImplementedError(f"{type(self).__name__} must define learnt_of")

    def learnt_shape(self) -> tuple[int, ...]:
        raise NotImplementedError(f"{type(self).__name__} must define learnt_shape")

    def picture(self) -> Tensor:
        """[1, C, H, W] in 0..1, with the way back to what is learnt."""
        raise NotImplementedError(f"{type(self).__name__} must define picture")

    def amplify(self, times: float) -> None:
        """Make the contrast so many times as strong."""
        with torch.no_grad():
            self.learnt.mul_(times)


class Pixels(Canvas):
    """Each pixel by itself, [C, H, W]."""

    def learnt_shape(self) -> tuple[int, ...]:
        return self.channels, self.height, self.width

    def learnt_of(self, photo: Tensor) -> Tensor:
        return photo.logit(eps=EDGE)

    def picture(self) -> Tensor:
        return self.learnt.sigmoid()[None]


class Waves(Canvas):
    """The strengths of its waves [C, H, W // 2 + 1, 2], real and imaginary part, in independent colours."""

    def __init__(self, shape: tuple[int, int, int], generator: torch.Generator, photo: Tensor | None = None):
        _, self.height, self.width = shape
        down = torch.fft.fftfreq(self.height, dtype=torch.float32)[:, None]
        across = torch.fft.rfftfreq(self.width, dtype=torch.float32)[None]
        frequency = (down**2 + across**2).sqrt()  # in waves a pixel
        longest = max(self.height, self.width)
        self.weight = longest * (longest * frequency).clamp_min(1) ** -FALL
        self.colours = colours(shape[0])
        super().__init__(shape, generator, photo)

    def learnt_shape(self) -> tuple[int, ...]:
        return self.channels, self.height, self.width // 2 + 1, 2

    def learnt_of(self, photo: Tensor) -> Tensor:
        apart = torch.einsum("oc,chw->ohw", torch.linalg.inv(self.colours), photo.logit(eps=EDGE))
        return torch.view_as_real(torch.fft.rfft2(apart / CONTRAST, norm="ortho") / self.weight).contiguous()

    def picture(self) -> Tensor:
        spectrum = torch.view_as_complex(self.learnt) * self.weight
        mixed = CONTRAST * torch.fft.irfft2(spectrum, s=(self.height, self.width), norm="ortho")
        return torch.einsum("oc,chw->ohw", self.colours, mixed).sigmoid()[None]


def colours(channels: int) -> Tensor:
    """[C, C]: what each independent colour adds to each channel; of other than three they are the channels.
    """
    if channels != 3:
        return torch.eye(channels)
    scale = torch.tensor([math.sqrt(variance / max(VARIANCES)) for variance in VARIANCES])
    return torch.tensor(AXES) * scale
