"""Networks that bring their fractional lengths along, instead of having them chosen."""

from abc import abstractmethod

from torch import nn

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
