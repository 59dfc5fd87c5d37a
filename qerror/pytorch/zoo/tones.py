"""Synthesised tones: harmonics at a known pitch, in noise."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

import functools

import numpy as np
import torch

from qerror._arrays import FloatArray
from qerror.pytorch.examples import Examples
from qerror.pytorch.zoo.crepe import FRAME, RATE

_LOWEST, _HIGHEST = 50.0, 1600.0
_HARMONICS = 12
_NOISE_DB = 20.0


@functools.cache
def tones(count: int = 480, seed: int = 0) -> Examples:
    """Return frames of 1,024 samples at 16 kHz and their pitches in Hz.

    Pitches are log-uniform from 50 to 1,600 Hz; up to 12 harmonics fall off by random powers, with
    random phases; white noise lies 20 dB below. Every frame has mean 0 and standard deviation 1.
    """
    rng = np.random.default_rng(seed)
    time = np.arange(FRAME) / RATE
    pitches = np.exp(rng.uniform(np.log(_LOWEST), np.log(_HIGHEST), count))
    frames = np.stack([_tone(rng, pitch, time) for pitch in pitches])
    frames -= frames.mean(1, keepdims=True)
    frames /= frames.std(1, keepdims=True)
    return Examples(torch.from_numpy(frames.astype(np.float32)), torch.from_numpy(pitches))


def _tone(rng: np.random.Generator, pitch: float, time: FloatArray) -> FloatArray:
    count = min(_HARMONICS, int(0.5 * RATE / pitch))
    orders = np.arange(1, count + 1)
    sizes = orders ** -rng.uniform(0.5, 2.0)
    phases = rng.uniform(0, 2 * np.pi, count)
    angles = 2 * np.pi * pitch * np.outer(orders, time) + phases[:, None]
    tone: FloatArray = (sizes[:, None] * np.sin(angles)).sum(0)
    noise = tone.std() * 10 ** (-_NOISE_DB / 20)
    found: FloatArray = tone + noise * rng.standard_normal(time.size)
    return found
