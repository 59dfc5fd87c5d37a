"""The floating-point formats that others have named, and the names they go by."""

from qerror.formats.floating import FloatingPoint, standard
from qerror.formats.format import FORMATS
from qerror.formats.names import ambiguous

_PAPER = "Kuzmin et al. 2022 (arXiv 2208.09225)"
_OFP8 = "OCP 8-bit Floating Point Specification (OFP8) 1.0"
_MX = "OCP Microscaling Formats (MX) 1.0"
_FNUZ = "Noune et al. 2022 (arXiv 2206.02915)"
_IEEE = "IEEE 754-2019"
_P3109 = "IEEE P3109 interim report"
_ML_DTYPES = "ml_dtypes, after IEEE 754's rules"


def _prefixed(bits: int, *stems: str) -> list[str]:
    """Return the stems with the prefixes of types: fp6_e2m3, float6_e2m3."""
    return [f"{prefix}{bits}_{stem}" for stem in stems for prefix in ("fp", "float")]


for _mantissa in (5, 4, 3, 2):
    _format = FloatingPoint(_mantissa, 7 - _mantissa)
    standard(_format.name, _PAPER, _format)

# Aliases in this order: others' bare names, those of chip makers' libraries, of ml_dtypes and
# PyTorch, of safetensors files, of Triton.
# fp8_e4m3 is OCP's, as in the chip makers' libraries; float8_e4m3 is ml_dtypes', below.
_E4M3 = ("e4m3", "ocp_e4m3", "fp8_e4m3", *_prefixed(8, "e4m3fn"), "f8_e4m3", "fp8e4nv")
_E4M3_OCP = FloatingPoint(3, 4, specials="fn")
standard("E4M3FN", f"{_OFP8}: E4M3", _E4M3_OCP, *_E4M3, "torch.float8_e4m3fn")
_E5M2 = ("ocp_e5m2", *_prefixed(8, "e5m2"), "f8_e5m2", "fp8e5", "torch.float8_e5m2")
standard("E5M2", _OFP8, FloatingPoint(2, 5, specials="ieee"), *_E5M2)

# No code of these is NaN, for all that ml_dtypes adds "fn" to the name.
_E3M2 = ("e3m2fn", "ocp_e3m2", *_prefixed(6, "e3m2", "e3m2fn"), "f6_e3m2")
standard("E3M2", _MX, FloatingPoint(2, 3, bias=3), *_E3M2)
_E2M3 = ("e2m3fn", "ocp_e2m3", *_prefixed(6, "e2m3", "e2m3fn"), "f6_e2m3")
standard("E2M3", _MX, FloatingPoint(3, 2, bias=1), *_E2M3)
_E2M1 = ("fp4", "float4", "f4", "e2m1fn", "ocp_e2m1", *_prefixed(4, "e2m1", "e2m1fn"))
standard("E2M1", _MX, FloatingPoint(1, 2, bias=1), *_E2M1, "torch.float4_e2m1fn_x2")

_E4M3FNUZ = FloatingPoint(3, 4, specials="fnuz")
_E4M3_NOUNE = (*_prefixed(8, "e4m3fnuz"), "f8_e4m3fnuz", "fp8e4b8", "torch.float8_e4m3fnuz")
standard("E4M3FNUZ", _FNUZ, _E4M3FNUZ, *_E4M3_NOUNE)
_E5M2_NOUNE = (*_prefixed(8, "e5m2fnuz"), "f8_e5m2fnuz", "fp8e5b16", "torch.float8_e5m2fnuz")
standard("E5M2FNUZ", _FNUZ, FloatingPoint(2, 5, specials="fnuz"), *_E5M2_NOUNE)
_E4M3B11 = ("e4m3b11", *_prefixed(8, "e4m3b11fnuz"))
standard("E4M3B11FNUZ", "ml_dtypes", _E4M3FNUZ.with_bias(11), *_E4M3B11)
standard("FLOAT8_E4M3", _ML_DTYPES, FloatingPoint(3, 4, specials="ieee"), "e4m3ieee")
_E3M4 = ("e3m4ieee", *_prefixed(8, "e3m4"))
standard("E3M4", _ML_DTYPES, FloatingPoint(4, 3, specials="ieee"), *_E3M4)

# Block scales without a sign: of NVFP4, and a proposal that no standard defines yet.
_UE4M3 = FloatingPoint(3, 4, signed=False, specials="fn")
standard("UE4M3", "NVIDIA PTX: the scales of NVFP4", _UE4M3, "ue4m3fn")
_UE5M3 = FloatingPoint(3, 5, signed=False, specials="fn")
standard("UE5M3", "no standard yet: bias 15 and NaN at the top code are assumed", _UE5M3)

for _precision in (3, 4, 5):
    _format = FloatingPoint(_precision - 1, 8 - _precision, specials="p3109", infinities=True)
    standard(_format.name, _P3109, _format)

_FP16 = ("float16", "half", "binary16", "e5m10", "f16", "torch.float16", "torch.half")
standard("FP16", f"{_IEEE}: binary16", FloatingPoint(10, 5, specials="ieee"), *_FP16)
_BF16 = ("bfloat16", "e8m7", "torch.bfloat16")
standard("BF16", "Google's bfloat16", FloatingPoint(7, 8, specials="ieee"), *_BF16)
_TF32 = ("tensorfloat32", "e8m10")
standard("TF32", "NVIDIA's TensorFloat-32", FloatingPoint(10, 8, specials="ieee"), *_TF32)
_FP32 = ("float32", "single", "binary32", "e8m23", "f32", "torch.float32", "torch.float")
standard("FP32", f"{_IEEE}: binary32", FloatingPoint(23, 8, specials="ieee"), *_FP32)
_FP64 = ("float64", "double", "binary64", "e11m52", "f64", "torch.float64", "torch.double")
standard("FP64", f"{_IEEE}: binary64", FloatingPoint(52, 11, specials="ieee"), *_FP64)

for _bits in (6, 8):
    _same_width = [
        name
        for name, member in FORMATS.items()
        if isinstance(member, FloatingPoint) and member.signed and member.bits == _bits
    ]
    ambiguous(_same_width, f"fp{_bits}", f"float{_bits}", f"f{_bits}")
