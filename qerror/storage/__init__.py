"""Arrays in files, and files that appear whole or not at all."""

from typing import TYPE_CHECKING

from qerror._later import later
from qerror.storage.atomic import check_writable as check_writable
from qerror.storage.atomic import is_stream as is_stream
from qerror.storage.atomic import replacing as replacing
from qerror.storage.atomic import write_atomically as write_atomically
from qerror.storage.narrow import NARROW as NARROW
from qerror.storage.plain import read_json as read_json

if TYPE_CHECKING:
    from qerror.storage.checkpoint import CHECKPOINT_SUFFIXES as CHECKPOINT_SUFFIXES
    from qerror.storage.checkpoint import open_checkpoint as open_checkpoint
    from qerror.storage.files import open_arrays as open_arrays
    from qerror.storage.npz import other_members as other_members
    from qerror.storage.source import StoredArray as StoredArray
    from qerror.storage.tensor import Contents as Contents
    from qerror.storage.tensor import Fault as Fault
    from qerror.storage.tensor import Skipped as Skipped
    from qerror.storage.tensor import StoredTensor as StoredTensor

__getattr__, __dir__ = later(
    __name__,
    {
        "checkpoint": ("CHECKPOINT_SUFFIXES", "open_checkpoint"),
        "files": ("open_arrays",),
        "npz": ("other_members",),
        "source": ("StoredArray",),
        "tensor": ("Contents", "Fault", "Skipped", "StoredTensor"),
    },
)
