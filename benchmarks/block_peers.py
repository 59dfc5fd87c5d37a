"""What other libraries do to an array of blocks, step by step and in their order, in torch.

Each is the reference path that runs on a processor, written for float32 with blocks along the
last axis, from their documentation and source; only the steps are theirs.
"""

from typing import Any

import torch

Tensor = torch.Tensor

_FLOAT32_BIAS = 127
_ELEMENTS = {
    # exponent bits, mantissa bits with sign and leading one, largest level, its exponent
    "mxfp4": (2, 3, 6.0, 2),
    "mxfp8_e4m3": (4, 5, 448.0, 8),
}


def microxcaling(x: Tensor, name: str, block: int = 32) -> Tensor:
    """Quantize by FLOOR as microsoft/microxcaling does on a CPU: logarithms and powers of floats.

    The shared exponent from log2 of the block's maximum; values divided by its power of two; a
    private exponent for each value, again by log2; shifted, rounded half to even, shifted back;
    clamped to the element's range.
    """
    exponent_bits, bits, top, emax = _ELEMENTS[name]
    blocks = x.reshape(-1, block)
    shared = torch.max(torch.abs(blocks), dim=-1, keepdim=True).values
    smallest = torch.finfo(torch.float32).tiny
    shared = torch.floor(torch.log2(shared + smallest * (shared == 0).type(x.dtype)))
    shared -= emax
    shared[shared > _FLOAT32_BIAS] = float("nan")
    shared[shared < -_FLOAT32_BIAS] = -_FLOAT32_BIAS
    out = blocks / (2**shared)
    private = torch.floor(torch.log2(torch.abs(out) + (out == 0).type(x.dtype)))
    private = private.clip(min=-(2 ** (exponent_bits - 1)) + 2)
    out = out / (2**private) * (2 ** (bits - 2))
    magnitude = torch.abs(out)
    odd_half = ((magnitude - 0.5) % 2 == 0).type(x.dtype)
    out = torch.sign(out) * (torch.floor(magnitude + 0.5) - odd_half)
    out = out / (2 ** (bits - 2)) * (2**private)
    out = torch.clamp(out, min=-top, max=top)
    infinite = torch.isinf(blocks)
    out[infinite] = blocks[infinite]
    return (out * (2**shared)).reshape(x.shape)


def torchao_mx(x: Tensor, name: str, block: int = 32) -> Tensor:
    """Cast to MX by FLOOR and back as pytorch/ao's tensors do: bits of the maximum, integer casts.

    The scale's byte from the exponent bits; division by it in float32; elements saturated and
    cast, E4M3 by torch's own type, E2M1 through integer arithmetic on bits, packed two to a byte;
    then unpacked, looked up and multiplied.
    """
    _, _, top, emax = _ELEMENTS[name]
    blocks = x.reshape(-1, block)
    maximum = torch.amax(torch.abs(blocks), dim=-1, keepdim=True)
    exponent = ((maximum.view(torch.int32) >> 23) & 0xFF) - _FLOAT32_BIAS
    unbiased = torch.clamp(exponent - emax, -_FLOAT32_BIAS, _FLOAT32_BIAS + 1)
    byte = (unbiased + _FLOAT32_BIAS).to(torch.uint8)
    byte = torch.where(torch.isnan(maximum), 255, byte)
    scale = (byte.to(torch.int32) << 23).view(torch.float32)
    scale = torch.clamp(scale, min=2.0**-126)
    scaled = blocks / scale
    if name == "mxfp8_e4m3":
        data = torch.clamp(scaled, min=-top, max=top).to(torch.float8_e4m3fn)
        values = data.to(torch.float32)
    else:
        values = _from_packed(_packed(_e2m1_codes(scaled)))
    back = torch.where(byte == 255, float("nan"), torch.exp2(byte.to(torch.float32) - 127))
    return (values.reshape(blocks.shape) * back).reshape(x.shape)


def _e2m1_codes(x: Tensor) -> Tensor:
    """Return E2M1 codes by bits: one branch for normal levels, one for subnormal, one for clips."""
    bits = x.view(torch.int32)
    sign = bits & -0x80000000
    bits = bits ^ sign
    size = bits.view(torch.float32)
    saturate = size >= 6.0
    denormal = torch.logical_and(torch.logical_not(saturate), size < 1.0)
    normal = torch.logical_not(torch.logical_or(saturate, denormal))
    # At 2^22 the unit of float32 is 1/2: the sum's low bits count halves.
    shifted = size + 2.0**22
    small = (shifted.view(torch.int32) - (149 << 23)).to(torch.uint8)
    odd = (bits >> 22) & 1
    large = bits + ((1 - _FLOAT32_BIAS) << 23) + ((1 << 21) - 1) + odd
    large = (large >> 22).to(torch.uint8)
    codes = torch.full_like(x, 7, dtype=torch.uint8)
    codes = torch.where(denormal, small, codes)
    codes = torch.where(normal, large, codes)
    return codes | ((sign >> 28) & 8).to(torch.uint8)


def _packed(codes: Tensor) -> Tensor:
    flat = codes.contiguous().view(-1)
    return flat[::2] | (flat[1::2] << 4)


def _from_packed(packed: Tensor) -> Tensor:
    """Unpack and convert by shifts, with a branch for 0 and one for the subnormal level."""
    codes = torch.stack([packed & 15, packed >> 4], dim=-1).view(-1)
    sign = codes & 8
    size = codes & 7
    zero, half = size == 0, size == 1
    exponent = (size >> 1) - 1 + _FLOAT32_BIAS
    found = (exponent.to(torch.int32) << 23) | ((size & 1).to(torch.int32) << 22)
    found[zero] = 0
    found[half] = 0x3F000000
    return (found | (sign.to(torch.int32) << 28)).view(torch.float32)


def contenders(x: Any, name: str) -> dict[str, Any]:
    """Return the peers of a format as calls without arguments."""
    tensor = torch.from_numpy(x)
    if name not in _ELEMENTS:
        return {}
    return {
        "microxcaling": lambda: microxcaling(tensor, name),
        "torchao": lambda: torchao_mx(tensor, name),
    }
