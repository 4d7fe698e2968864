from __future__ import annotations

import colorsys

Colour = tuple[int, int, int]  # BGR


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """BGR colour of a hue (in turns), saturation and value (0 to 1)."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(255 * blue), round(255 * green), round(255 * red)


def shade(colour: Colour, factor: float) -> Colour:
    """A darker (factor below 1) or lighter colour."""
    blue, green, red = (min(255, round(channel * factor)) for channel in colour)
    return blue, green, red
