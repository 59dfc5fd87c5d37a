"""From a trained network in floating point to one in fixed point that goes on learning."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

import copy
from collections.abc import Sequence

import torch
from torch import nn

from qerror._arrays import integer, positive
from qerror.exceptions import InvalidType, InvalidValue
from qerror.pytorch.f8net.lengths import Lengths
from qerror.pytorch.f8net.network import F8Network
from qerror.pytorch.f8net.structure import Structure
from qerror.pytorch.folding.fusion import NORMS, fitting
from qerror.pytorch.integer.steps import Step, images_of
from qerror.pytorch.integer.trace import check_steps, steps_of
from qerror.pytorch.tracing import traced

CLIP = 8.0
"""Where F8Net's clips start."""


def f8net(
    model: nn.Module,
    data: object,
    *,
    lengths: Lengths | None = None,
    clip: float = CLIP,
    input_length: int | None = None,
) -> F8Network:
    """Return a network in fixed point with F8Net's training: 8-bit products and shifts alone.

    Every layer takes fixed point whose fractional length follows from the standard deviation of
    its input, and multiplies it with the effective weight, into which the normalisation and the
    units of the layers before and behind are folded, in fixed point of a length from its own
    standard deviation. In training each layer is computed twice: with its weight as it is, for the
    statistics of the batch, and with the effective one. Clips learn; layers that take tensors
    which are added share one, and have fractional lengths of their own.

    Parameters
    ----------
    model : Module
        In evaluation mode, with normalisations: convolutions, linear layers, batch normalisations
        behind them, ReLU, additions, pools. A ReLU6 becomes a ReLU, as in F8Net: the clip does it.
    data : iterable of tensors
        Images: all of them together give the image's sign and length, and the starts of lengths.
    lengths : Lengths, optional
        The rule of fractional lengths, and the bits of codes; by default the exact rule in 8 bits.
    clip : float
        Where every clip starts.
    input_length : int, optional
        The image's fractional length; by default the one with the least error.

    Returns
    -------
    F8Network
        In evaluation mode; `qerror.pytorch.training.train` trains it, and
        `qerror.pytorch.integer.to_integer` makes integers of it.

    Raises
    ------
    InvalidType, InvalidValue
        If the network has no normalisation to fold, or a step that fixed point does not express
        (the message names it), the data do not fit, or a length is none that the codes have.

    Notes
    -----
    A length is measured on a value over its unit eta = 2^FL alpha/K, and moves that unit. It
    stands still where alpha is 3.6 to 7.1 standard deviations (3.2 to 6.5 with a sign), and else
    runs to an end of what is allowed: to the longest where alpha is larger, to 0 where it is
    smaller. Clips that start below, at the least error of the data, lose the network so.

    References
    ----------
    Jin et al. 2022, F8Net (arXiv 2202.05239), section 4 and appendices 7.3 to 7.6.

    Examples
    --------
    >>> from qerror.pytorch.integer import to_integer
    >>> _ = torch.manual_seed(0)
    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
    >>> net = net.append(nn.Linear(144, 2)).eval()
    >>> images = torch.randn(32, 1, 8, 8)
    >>> fixed = f8net(net, [images])
    >>> both = to_integer(fixed, [images])
    >>> logits = both.integer.run(both.integer.encode(images.numpy()))
    >>> worth = 2.0 ** -both.integer.codes["4"].length
    >>> bool((torch.from_numpy(logits) * worth == fixed(images)).all())
    True
    """
    rule = lengths or Lengths()
    start = positive("clip", clip)
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance] - the door
        raise InvalidType(f"model must be a torch.nn.Module, got {type(model).__name__}")
    steps = steps_of(model)
    reference = next(model.parameters(), None)
    if reference is None:
        raise InvalidValue(f"{type(model).__name__} has no weights: there is nothing to train")
    images = torch.cat(images_of(data)).to(reference.device)
    check_steps(model, steps, images[:4])  # sets the windows of pools, too
    structure = Structure(steps, negative=bool((images < 0).any()))
    modules = _modules(model, structure.layers)
    if all(norm is None for _, norm in modules.values()):
        raise InvalidValue(
            "the network has no batch normalisation behind a layer, so F8Net has nothing to fold; "
            "to_integer takes such networks as they are"
        )
    found = F8Network(structure, modules, rule, start, tuple(images.shape[1:]))
    found.to(reference.device, reference.dtype)
    signed = not structure.positive[""]
    search = Lengths("search", rule.bits)
    best = search.of(images, signed=signed)
    if input_length is not None:
        most = rule.bits - signed
        if not 0 <= integer("input_length", input_length, -(2**31), 2**31) <= most:
            raise InvalidValue(
                f"input_length is a fractional length of {rule.bits}-bit codes "
                f"{'with' if signed else 'without'} a sign: 0 to {most}, got {input_length}"
            )
        best = torch.tensor(float(input_length))
    found.input_length.fill_(float(best))
    found.settle(images.to(reference.dtype))
    return found.eval()


def _modules(
    model: nn.Module, layers: Sequence[Step]
) -> dict[str, tuple[nn.Module, nn.Module | None]]:
    """Return copies of the layers with the normalisations behind them."""
    graph = traced(model, "Fixed point needs a network whose steps do not depend on the data")
    modules = dict(graph.named_modules())
    norms: dict[str, nn.Module] = {}
    for node in graph.graph.nodes:
        if node.op == "call_module" and isinstance(modules[str(node.target)], NORMS):
            norms[str(node.args[0].target)] = modules[str(node.target)]
    found: dict[str, tuple[nn.Module, nn.Module | None]] = {}
    for step in layers:
        if step.name in norms:
            fitting(modules[step.name], norms[step.name])
        if step.name not in modules:
            raise InvalidValue(
                f"a layer is called twice, at step {step.name!r}: its two results would have two "
                "units; give it a twin"
            )
        found[step.name] = copy.deepcopy((modules[step.name], norms.get(step.name)))
    return found
