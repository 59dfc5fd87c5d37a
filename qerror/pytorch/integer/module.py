"""A network of integers in PyTorch: the same codes from int64 tensors, no float among them."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

from typing import Any, final

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from torch import Tensor, nn

from qerror.exceptions import InvalidType, InvalidValue
from qerror.integer.arithmetic import INT32
from qerror.integer.layer import Codes, IntegerLayer
from qerror.integer.multiplier import Rounding
from qerror.integer.network import AnyLayer, IntegerNetwork
from qerror.integer.scaled import ScaledCodes, ScaledLayer

_GONE = 32  # a shift by so many bits leaves nothing of an int32
_WHOLE = 62  # and by so many to the left leaves only 0 within int64
_DIGITS = 31


@final
class IntegerModule(nn.Module):
    """An `IntegerNetwork` on tensors of int64, as PyTorch runs it.

    Parameters
    ----------
    network : IntegerNetwork
        Of shifts alone, or of multipliers and shifts.

    Notes
    -----
    Codes go in (`network.encode` makes them) and come out; every sum is int64, and so is every
    step between. PyTorch multiplies matrices of int64 on the CPU alone.

    Examples
    --------
    >>> from qerror.pytorch.integer import to_integer
    >>> net = nn.Sequential(nn.Linear(4, 2)).eval()
    >>> x = torch.linspace(-1, 1, 32).reshape(8, 4)
    >>> network = to_integer(net, [x], backend="int8").integer
    >>> codes = network.encode(x.numpy())
    >>> bool((IntegerModule(network)(torch.from_numpy(codes)).numpy() == network.run(codes)).all())
    True
    """

    def __init__(self, network: IntegerNetwork) -> None:
        super().__init__()
        self.network = network
        for i, layer in enumerate(network.layers):
            arrays = {"weight": layer.weight, "bias": layer.bias}
            if isinstance(layer, ScaledLayer):
                arrays["weight"] = layer.factors
                arrays |= {"multiplier": layer.multiplier, "shift": layer.shift}
            for name, values in arrays.items():
                if values is not None:
                    self.register_buffer(f"{name}{i}", torch.from_numpy(values.copy()))

    def forward(self, codes: Tensor) -> Tensor:
        """Return the last layer's codes."""
        return self.trace(codes)[self.network.layers[-1].name]

    def trace(self, codes: Tensor) -> dict[str, Tensor]:
        """Return the codes of every layer, by name.

        Raises
        ------
        InvalidType, InvalidValue
            If `codes` are no integers, or beyond those of the input.
        """
        if codes.is_floating_point() or codes.is_complex() or codes.dtype == torch.bool:
            raise InvalidType(f"codes are integers, which encode makes; got {codes.dtype}")
        own = self.network.input
        if codes.numel() and (int(codes.min()) < own.low or int(codes.max()) > own.high):
            raise InvalidValue(f"the network takes codes in {own.low}..{own.high}, others came")
        found = {"": codes.long()}
        for i, layer in enumerate(self.network.layers):
            given = [found[name] for name in layer.inputs]
            found[layer.name] = self._step(i, layer, given)
        del found[""]
        return found

    def _step(self, i: int, layer: AnyLayer, given: list[Tensor]) -> Tensor:
        codes: Any = [self.network.codes[name] for name in layer.inputs]
        if layer.kind == "flatten":
            return given[0].flatten(1)
        if layer.kind == "largest":
            each = _windows(given[0], layer.window, layer.stride, layer.padding, fill=codes[0].low)
            return each.amax((-2, -1))
        if isinstance(layer, ScaledLayer):
            return self._scaled(
                i, layer, [x - own.zero for x, own in zip(given, codes, strict=True)]
            )
        return self._shifted(i, layer, given, codes)

    # ---- shifts alone

    def _shifted(
        self, i: int, layer: IntegerLayer, given: list[Tensor], codes: list[Codes]
    ) -> Tensor:
        length = max(each.length for each in codes)
        if layer.kind == "add":
            parts = [
                (x << (length - each.length)).clamp(-INT32, INT32)
                for x, each in zip(given, codes, strict=True)
            ]
            total = (parts[0] + parts[1]).clamp(-INT32, INT32)
        else:
            total = self._sums(i, layer, given[0])
        length += layer.weight_length + (layer.shift if layer.kind == "average" else 0)
        if layer.raw:
            return total
        out = layer.output
        return _requantized(total, length - out.length, out.low, out.high)

    # ---- multipliers and shifts

    def _scaled(self, i: int, layer: ScaledLayer, given: list[Tensor]) -> Tensor:
        if layer.kind == "add":
            parts = [
                _multiplied(x << layer.left, torch.tensor(m), torch.tensor(n), layer.rounding)
                for x, (m, n) in zip(given, layer.operands, strict=True)
            ]
            total = parts[0] + parts[1]
        else:
            total = self._sums(i, layer, given[0])
        along = (-1, *(1,) * (total.ndim - 2))
        m, n = (getattr(self, f"{name}{i}").reshape(along) for name in ("multiplier", "shift"))
        out: ScaledCodes = layer.output
        return (_multiplied(total, m, n, layer.rounding) + out.zero).clamp(out.low, out.high)

    # ---- sums

    def _sums(self, i: int, layer: AnyLayer, x: Tensor) -> Tensor:
        if layer.kind == "average":
            return _windows(x, layer.window, layer.stride, (0, 0)).sum((-2, -1))
        if layer.weight is None:
            return x
        weight: Tensor = getattr(self, f"weight{i}")
        total = x @ weight.T if layer.kind == "linear" else _convolved(x, weight, layer)
        total = total << layer.finer
        bias: Tensor | None = getattr(self, f"bias{i}", None)
        return total if bias is None else total + bias.reshape(-1, *(1,) * (total.ndim - 2))


def _windows(
    x: Tensor,
    size: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
    *,
    fill: int = 0,
) -> Tensor:
    """Return the windows of images: (n, channels, out h, out w, kh, kw)."""
    (top, left), (kh, kw) = padding, size
    padded = F.pad(x, (left, left, top, top), value=fill)
    rows = padded.unfold(2, (kh - 1) * dilation[0] + 1, stride[0])
    both = rows.unfold(3, (kw - 1) * dilation[1] + 1, stride[1])
    return both[..., :: dilation[0], :: dilation[1]]


def _convolved(x: Tensor, weight: Tensor, layer: AnyLayer) -> Tensor:
    outputs, inputs, kh, kw = weight.shape
    each = _windows(x, (kh, kw), layer.stride, layer.padding, layer.dilation)
    n, _, height, width = each.shape[:4]
    share = outputs // layer.groups
    found: list[Tensor] = []
    for group in range(layer.groups):
        part = each[:, group * inputs : (group + 1) * inputs]
        rows = part.permute(0, 2, 3, 1, 4, 5).reshape(n * height * width, -1)
        own = weight[group * share : (group + 1) * share].reshape(share, -1)
        found.append((rows @ own.T).reshape(n, height, width, share).permute(0, 3, 1, 2))
    return torch.cat(found, 1)


def _requantized(total: Tensor, shift: int, low: int, high: int) -> Tensor:
    """Return codes of `shift` fewer fractional bits, ties to even, clamped."""
    if shift >= _GONE:
        return torch.zeros_like(total).clamp(low, high)
    if shift <= 0:  # what would pass an end is not shifted
        above, below = total > high >> -shift, total < -(-low >> -shift)
        kept = total.masked_fill(above | below, 0) << min(-shift, _WHOLE)
        return kept.masked_fill(above, high).masked_fill(below, low)
    found = total >> shift
    rest, half = total & ((1 << shift) - 1), 1 << (shift - 1)
    found = found + ((rest > half) | ((rest == half) & (found & 1 == 1)))
    return found.clamp(low, high)


def _multiplied(total: Tensor, m: Tensor, n: Tensor, rounding: Rounding) -> Tensor:
    """Return A M 2^-n, rounded as `qerror.integer.multiplier.Rounding` says."""
    one = torch.ones_like(n)
    if rounding != "twice":
        product, half = total * m, one << (n - 1)
        found = (product + half) >> n
        if rounding == "even":
            found = found - ((product & ((half << 1) - 1) == half) & (found & 1 == 1)).long()
        return found
    left, right = (_DIGITS - n).clamp(min=0), (n - _DIGITS).clamp(min=0)
    wide = (total << left).clamp(-INT32 - 1, INT32)
    high = (wide * m + (1 << (_DIGITS - 1))) >> _DIGITS
    mask = (one << right) - 1
    return (high >> right) + ((high & mask) > (mask >> 1) + (high < 0).long())
