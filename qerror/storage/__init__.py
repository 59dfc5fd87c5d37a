"""Arrays in files, and files that appear whole or not at all."""

from qerror.storage.atomic import check_writable as check_writable
from qerror.storage.atomic import replacing as replacing
from qerror.storage.atomic import write_atomically as write_atomically
from qerror.storage.npy import StoredArray as StoredArray
from qerror.storage.npy import open_arrays as open_arrays
