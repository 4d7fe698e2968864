import itertools
import math
from collections.abc import Iterator

import numpy as np
from numpy.random import Generator

from .camera import Camera
from .figure import Person, draw_figure
from .sprite import Item

_GOLDEN_RATIO = 0.618033988749895  # its multiples keep apart, modulo 1


class Walker:
    """A person who walks straight through the view, from one side to the other."""

    def __init__(
        self, identity: int, person: Person, camera: Camera, rng: Generator
    ) -> None:
        self.person = person
        self._identity = identity
        self._camera = camera
        self._height = rng.uniform(1.55, 1.9)
        self.speed = rng.uniform(0.8, 1.6)  # metres per second
        self._stride = 0.5 * self._height * rng.uniform(0.9, 1.1)
        self._facing = int(rng.choice([-1, 1]))
        # Uniform in the image, not on the ground, most of which is far away.
        depths = 1 / rng.uniform(1 / camera.far, 1 / camera.near, 2)
        sides = self._facing * np.array([-1, 1])
        beyond = 0.33 * self._height  # a swinging leg's reach
        laterals = sides * (camera.half_view(depths) + beyond)
        self._start, goal = np.stack((laterals, depths), axis=1)
        self.length = float(np.linalg.norm(goal - self._start))
        self._direction = (goal - self._start) / self.length
        self.travelled = 0.0

    def draw(self) -> Item:
        """The walker at this moment."""
        lateral, depth = self._start + self.travelled * self._direction
        foot = self._camera.project(lateral, depth)
        scale = self._camera.scale(depth)
        # Gaits start at different phases, or the crowd would march in step.
        turns = self.travelled / self._stride + _GOLDEN_RATIO * self._identity
        phase = 2 * math.pi * turns
        height = self._height * scale
        sprite = draw_figure(self.person, foot, height, phase, self._facing)
        return Item(sprite, depth, foot, 0.5 * scale, self._identity)


class Crowd:
    """A constant number of walkers: when one leaves, another enters."""

    def __init__(
        self, camera: Camera, rng: Generator, num_people: int, identities: Iterator[int]
    ) -> None:
        self._camera = camera
        self._rng = rng
        self._identities = identities
        self._hues = itertools.count(rng.random(), _GOLDEN_RATIO)
        self.walkers = [self._enter() for _ in range(num_people)]
        for walker in self.walkers:  # the first ones are already in view
            walker.travelled = rng.uniform(0.1, 0.9) * walker.length

    def _enter(self) -> Walker:
        person = Person.sample(self._rng, next(self._hues))
        return Walker(next(self._identities), person, self._camera, self._rng)

    def advance(self, seconds: float) -> None:
        """Move everybody."""
        for index, walker in enumerate(self.walkers):
            walker.travelled += walker.speed * seconds
            if walker.travelled > walker.length:
                self.walkers[index] = self._enter()
