import colorsys

import numpy as np

from fairmot_mm.visualization.primitives import identity_colour


def test_colours_are_stable_and_apart():
    assert identity_colour(3) == identity_colour(3)
    hues = [colorsys.rgb_to_hsv(*(identity_colour(i)[::-1]))[0] for i in range(1, 6)]
    gaps = np.diff(sorted(hues), append=min(hues) + 1)
    assert gaps.min() > 0.1
