"""Networks that bring their fractional lengths along, instead of having them chosen."""

from abc import abstractmethod

import torch
from torch import nn

from qerror.exceptions import InvalidValue
from qerror.integer.network import IntegerNetwork


class FixedPointNetwork(nn.Module):
    """A network in PyTorch that is fixed point already, such as one that was trained so."""

    @abstractmethod
    def integer_network(self) -> IntegerNetwork:
        """Return the network of integers whose codes are those of the evaluation mode.

        Raises
        ------
        InvalidValue
            If it is in training mode, or a sum could leave int32.
        """


def refuse_nan(model: nn.Module) -> None:
    """Refuse a network that a training has left without numbers.

    Raises
    ------
    InvalidValue
        If a parameter or a buffer holds NaN: the message names it.
    """
    for name, values in (*model.named_parameters(), *model.named_buffers()):
        if bool(torch.isnan(values.detach()).any()):
            raise InvalidValue(f"{name} holds NaN: did the training diverge?")
