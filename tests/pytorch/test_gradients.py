"""Forward and gradients of every method against an independent float64 implementation."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from qerror.pytorch import functional as F  # noqa: N812 - torch's own custom

CASES = json.loads((Path(__file__).parents[1] / "reference" / "gradients.json").read_text())

Call = Callable[[Tensor, dict[str, Any], dict[str, Tensor], dict[str, Any]], Tensor]


def _fixed(p: dict[str, Any]) -> dict[str, Any]:
    return {"word_length": p["word_length"], "signed": p["signed"]}


CALLS: dict[str, Call] = {
    "fp_paper1": lambda x, p, t, o: F.fp(x, t["c"], t["m"], bits=p["bits"], **o),
    "lsq": lambda x, p, t, o: F.lsq(
        x, t["s"], t["z"] if "z" in t else p["zero_point"], low=p["n"], high=p["p"], **o
    ),
    "lsq_plus": lambda x, p, t, o: F.lsq_plus(x, t["s"], t["beta"], low=p["n"], high=p["p"], **o),
    "pact": lambda x, p, t, _: F.pact(x, t["alpha"], t.get("beta"), bits=p["bits"], form=p["form"]),
    "dorefa_weight": lambda x, p, _, __: F.dorefa_weight(x, bits=p["bits"]),
    "dsq": lambda x, p, _, __: F.dsq(x, p["s"], low=p["n"], high=p["p"], alpha=p["alpha"]),
    "qil": lambda x, p, t, o: F.qil(
        x, t["c"], t["d"], bits=p["bits"], form=p["form"], gamma=p["gamma"], **o
    ),
    "apot": lambda x, p, t, _: F.apot(
        x,
        t["alpha"],
        form="activation" if p["form"] == "activation" else "weight",
        standardise="standardised" in p["form"],
    ),
    "tqt": lambda x, p, t, _: F.tqt(x, t["log2_t"], bits=p["bits"], signed=p["signed"]),
    "f8net_fixed": lambda x, p, _, __: F.fixed_point(
        x, fractional_length=p["fractional_length"], **_fixed(p)
    ),
    "f8net_pact": lambda x, p, t, _: F.f8net_pact(
        x, t["alpha"], fractional_length=p["fractional_length"], **_fixed(p)
    ),
    "f8net_pact_training": lambda x, p, t, _: F.f8net_pact(
        x,
        t["alpha"],
        fractional_length=p["FL_batch"],
        buffer_length=p["FL_buffer"],
        **_fixed(p),
    ),
}
FIELD = {"m": "mantissa_bits", "z": "zero_point"}
SCALED = {"lsq", "lsq_plus", "qil"}
WITH_EXACT = {"fp_paper1", "lsq", "lsq_plus"}

LISTED = [
    pytest.param(method, case, id=f"{method}: {case['name']}")
    for method, group in CASES["methods"].items()
    for case in group["cases"]
]


def run(
    method: str, case: dict[str, Any], options: dict[str, Any]
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Return y, dL/dx and dL/dparameter for L = sum upstream y."""
    params = case["params"]
    x = torch.tensor(case["x"], dtype=torch.float64, requires_grad=True)
    learnt = {
        name: torch.tensor(params[FIELD.get(name, name)], dtype=torch.float64, requires_grad=True)
        for name in case.get("dy_dparam", {})
    }
    y = CALLS[method](x, params, learnt, options)
    upstream = torch.tensor(case["upstream"], dtype=torch.float64)
    dx, *rest = torch.autograd.grad(y, [x, *learnt.values()], upstream)
    return y.detach(), dx, dict(zip(learnt, rest, strict=True))


def close(ours: Tensor, wanted: list[float], tolerance: float) -> None:
    target = torch.tensor(wanted, dtype=torch.float64)
    assert ours.shape == target.shape
    assert ((ours - target).abs() <= tolerance * target.abs().clamp(min=1)).all()


def close_sum(ours: Tensor, wanted: float, case: dict[str, Any], each: list[float]) -> None:
    size = math.fsum(abs(u * d) for u, d in zip(case["upstream"], each, strict=True))
    assert abs(float(ours) - wanted) <= 1e-12 * size


@pytest.mark.parametrize(("method", "case"), LISTED)
def test_reference(method: str, case: dict[str, Any]) -> None:
    options = {"scale_gradient": False} if method in SCALED else {}
    y, dx, grads = run(method, case, options)
    close(y, case["y"], 1e-13)
    close(dx, case["dL_dx"], 1e-12)
    for name, each in case.get("dy_dparam", {}).items():
        close_sum(grads[name], case["dL_dparam"][name], case, each)


@pytest.mark.parametrize(("method", "case"), [each for each in LISTED if each.values[0] in SCALED])
def test_scaled_gradients(method: str, case: dict[str, Any]) -> None:
    _, _, grads = run(method, case, {})
    for name, wanted in case["dL_dparam_scaled"].items():
        scaled = [case["grad_scale"] * d for d in case["dy_dparam"][name]]
        close_sum(grads[name], wanted, case, scaled)


@pytest.mark.parametrize(
    ("method", "case"), [each for each in LISTED if each.values[0] in WITH_EXACT]
)
def test_the_exact_rule(method: str, case: dict[str, Any]) -> None:
    options: dict[str, Any] = {"rule": "exact"}
    if method in SCALED:
        options["scale_gradient"] = False
    _, _, grads = run(method, case, options)
    wanted = case["alternatives"]["exact_rule"]
    assert wanted["dL_dparam"]
    for name, value in wanted["dL_dparam"].items():
        close_sum(grads[name], value, case, wanted["dy_dparam"][name])


@pytest.mark.parametrize(("method", "case"), LISTED)
def test_each_value_has_its_own_derivative(method: str, case: dict[str, Any]) -> None:
    """Parameters as wide as the data receive one derivative a value."""
    if not case.get("dy_dparam"):
        pytest.skip("no parameter learns")
    params = case["params"]
    x = torch.tensor(case["x"], dtype=torch.float64)
    learnt = {
        name: torch.full_like(x, params[FIELD.get(name, name)]).requires_grad_()
        for name in case["dy_dparam"]
    }
    options = {"scale_gradient": False} if method in SCALED else {}
    y = CALLS[method](x, params, learnt, options)
    found = torch.autograd.grad(y.sum(), list(learnt.values()))
    for name, grad in zip(learnt, found, strict=True):
        close(grad, case["dy_dparam"][name], 1e-12)
