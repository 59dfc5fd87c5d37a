"""What qerror raises. The module is not called "errors": here an error is a quantity."""


class QErrorException(Exception):
    """Base of everything that qerror raises on purpose."""


class InvalidValue(QErrorException, ValueError):
    """A value lies outside what is allowed; the message says what is."""


class InvalidType(QErrorException, TypeError):
    """An argument is of a kind that the call cannot use."""


class UnknownName(InvalidValue):
    """A name is not registered; the message suggests the nearest ones."""


class TooLarge(InvalidValue):
    """The answer would need memory out of proportion; the message says how much."""


class MissingLibrary(QErrorException, ImportError):
    """An optional library is absent; the message holds the command that installs it."""
