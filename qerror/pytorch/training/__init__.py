"""Training on a laptop: seeded, resumable, in one process or several."""

from qerror.pytorch.training.checkpoint import Checkpoint as Checkpoint
from qerror.pytorch.training.checkpoint import load_checkpoint as load_checkpoint
from qerror.pytorch.training.checkpoint import save_checkpoint as save_checkpoint
from qerror.pytorch.training.distributed import processes as processes
from qerror.pytorch.training.distributed import rank as rank
from qerror.pytorch.training.loop import Trained as Trained
from qerror.pytorch.training.loop import train as train
from qerror.pytorch.training.plan import Plan as Plan
