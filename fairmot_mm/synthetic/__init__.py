"""Synthetic MOTChallenge sequences: people walking through a street scene.

The sequences need no download and no licence, so demos and tests can train and
evaluate on them. A level camera looks over flat ground; people enter at one side of
the view and leave at the other, grow and shrink with their depth, and cover each
other. World coordinates are metres (lateral from the optical axis, depth from the
camera), image coordinates pixels from the upper left corner of the image.

``figure`` draws a person on a ``canvas``; ``crowd`` and ``street_furniture`` place
people and objects in the view of the ``camera``; ``scene`` draws them in front of the
``street`` or a real ``background``, and ``writer`` saves the frames.
"""

from .sprite import STATIC_PERSON
from .writer import MIN_VISIBILITY, make_dataset, make_sequence

__all__ = ["MIN_VISIBILITY", "STATIC_PERSON", "make_dataset", "make_sequence"]
