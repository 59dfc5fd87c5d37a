"""Files of tensors: which format for which tensor, measured and predicted."""

from qerror.checkpoints.against import compare_checkpoints as compare_checkpoints
from qerror.checkpoints.analyze import USUAL as USUAL
from qerror.checkpoints.analyze import analyze_checkpoint as analyze_checkpoint
from qerror.checkpoints.budget import Assignment as Assignment
from qerror.checkpoints.budget import BudgetPlan as BudgetPlan
from qerror.checkpoints.budget import plan_budget as plan_budget
from qerror.checkpoints.budget import read_sensitivities as read_sensitivities
from qerror.checkpoints.comparison import AS_GOOD_DB as AS_GOOD_DB
from qerror.checkpoints.comparison import ComparisonReport as ComparisonReport
from qerror.checkpoints.comparison import TensorComparison as TensorComparison
from qerror.checkpoints.measure import TOLERANCE_DB as TOLERANCE_DB
from qerror.checkpoints.report import CheckpointReport as CheckpointReport
from qerror.checkpoints.report import FormatFigures as FormatFigures
from qerror.checkpoints.report import TensorReport as TensorReport
from qerror.checkpoints.report import Total as Total
