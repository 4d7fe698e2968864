import logging

from mmengine.logging import print_log

DEFAULT_FRAME_RATE = 30.0  # used when the source reports no usable one
# Frames per second, from time lapse to slow motion. Beyond, a stream reports the ticks
# of its clock (1000, 90000, ...) or nothing meaningful.
_LOWEST, _HIGHEST = 0.01, 480.0


def checked_frame_rate(frame_rate: float | None) -> float:
    """A frame rate that a camera can have.

    Raises:
        ValueError: It is not within 0.01 to 480 frames per second.
    """
    if frame_rate is None or not _LOWEST <= frame_rate <= _HIGHEST:
        raise ValueError(
            f"frame rate {frame_rate}, expected {_LOWEST:g} to {_HIGHEST:g} per second"
        )
    return float(frame_rate)


def usable_frame_rate(frame_rate: float | None, source: object) -> float:
    """The frame rate that ``source`` reports, or 30 with a warning if none can be it.

    Lost tracks are kept for a time, so a wrong rate keeps them for hours or not at all.
    """
    try:
        return checked_frame_rate(frame_rate)
    except ValueError as error:
        text = f"{source}: {error}; {DEFAULT_FRAME_RATE:g} is assumed"
        print_log(text, logger="current", level=logging.WARNING)
        return DEFAULT_FRAME_RATE
