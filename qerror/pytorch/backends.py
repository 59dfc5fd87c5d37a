"""What deployment backends ask of a quantized network, as data: MQBench's six presets."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, final

from qerror._arrays import integer
from qerror.exceptions import InvalidValue
from qerror.formats.integer import Integer
from qerror.pytorch.calibration import Calibration
from qerror.pytorch.fake_quantize import FakeQuantize
from qerror.pytorch.granularity import PerChannel, PerTensor
from qerror.pytorch.recipe import Role
from qerror.pytorch.scales import Free, PowerOfTwo
from qerror.registry import Registry

Graph: TypeAlias = Literal[1, 2, 3]
"""Where quantizers stand: 1, the inputs of layers alone; 2, a block's input once, shared, and one
input of an addition; 3, every input of an addition."""


@final
@dataclass(frozen=True)
class TensorRule:
    """How a backend quantizes tensors of one role."""

    symmetric: bool
    """Codes on either side of 0 alike, without a zero point."""
    per_channel: bool = False
    """A scale for each output channel."""
    adaptive_sign: bool = False
    """Codes without a sign where the data have no negative value."""

    def __str__(self) -> str:
        words = ["symmetric" if self.symmetric else "asymmetric"]
        words.append("per channel" if self.per_channel else "per tensor")
        return ", ".join([*words, *(["adaptive sign"] if self.adaptive_sign else [])])


@final
@dataclass(frozen=True)
class Backend:
    """A backend's quantizers, graph and folding.

    Parameters
    ----------
    name : str
    weights, activations : TensorRule
    power_of_two : bool
        Whether scales are powers of two; else any float.
    graph : {1, 2, 3}
        Where the quantizers of activations stand.
    folds : bool
        Whether batch normalisations are folded into the weights.
    first_last_bits : int, optional
        The width of the first and last layer; None is that of the others.
    source : str

    Raises
    ------
    InvalidValue
        If there is no such graph, or activations would have a scale a channel.
    """

    name: str
    weights: TensorRule
    activations: TensorRule
    power_of_two: bool = False
    graph: Graph = 1
    folds: bool = True
    first_last_bits: int | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if self.graph not in {1, 2, 3}:
            raise InvalidValue(f"graph is 1, 2 or 3, got {self.graph!r}")
        if self.activations.per_channel:
            raise InvalidValue(
                "activations share one scale a tensor: a scale a channel of them "
                "cannot leave the sum over the channels"
            )
        if self.weights.adaptive_sign:
            raise InvalidValue("an adaptive sign is for activations; weights have both signs")

    def quantizer(
        self,
        bits: int,
        role: Role,
        method: str = "lsq",
        *,
        channels: int | None = None,
        axis: int = 0,
        negative: bool = True,
        calibration: Calibration | None = None,
    ) -> FakeQuantize:
        """Return the quantizer that this backend's hardware computes.

        Parameters
        ----------
        bits : int
            Of a code, 2 to 16.
        role : {"weight", "activation"}
        method : str
            A name in `qerror.pytorch.METHODS` that this backend's rules allow.
        channels : int, optional
            How many output channels the weight has: needed for a scale a channel.
        axis : int
            Which axis of the weight counts them.
        negative : bool
            Whether the data have negative values: an adaptive sign asks.
        calibration : Calibration, optional
            By default the method's own.

        Raises
        ------
        InvalidValue
            If the backend has no such quantizer: a method that cannot take a zero point, a scale
            a channel or a power of two, or a number of channels that is missing.
        """
        rule = self.weights if role == "weight" else self.activations
        width = integer("bits", bits, 2, 16)
        if rule.per_channel and channels is None:
            raise InvalidValue(
                f"{self.name} has a scale for each channel of a weight: give channels"
            )
        form = Integer(width, signed=negative or not rule.adaptive_sign)
        if not rule.symmetric:
            form = Integer(width, signed=False)
        return FakeQuantize(
            form,
            method,
            role=role,
            granularity=PerChannel(channels or 1, axis) if rule.per_channel else PerTensor(),
            scale_rule=PowerOfTwo() if self.power_of_two else Free(),
            asymmetric=not rule.symmetric,
            calibration=calibration,
        )


BACKENDS: Registry[Backend] = Registry("backend", "qerror network backends")
"""The presets by name; a backend of one's own is one more record."""

_TABLE = "Li et al. 2021 (arXiv 2111.03759), table 1 and appendix E"
_ONE, _EACH, _SHIFTED = TensorRule(True), TensorRule(True, True), TensorRule(False)

for _backend in (
    Backend(
        "Academic",
        _ONE,
        TensorRule(True, adaptive_sign=True),
        folds=False,
        first_last_bits=8,
        source=f"{_TABLE}; the setting of QAT papers",
    ),
    Backend("TensorRT", _EACH, _ONE, graph=2, source=_TABLE),
    Backend("ACL", _EACH, _SHIFTED, source=_TABLE),
    Backend("TVM", _ONE, _ONE, power_of_two=True, graph=3, source=_TABLE),
    Backend("SNPE", _SHIFTED, _SHIFTED, graph=3, source=_TABLE),
    Backend("FBGEMM", TensorRule(False, True), _SHIFTED, graph=3, source=_TABLE),
):
    BACKENDS.register(_backend.name, _backend)
