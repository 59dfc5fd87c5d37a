"""Experiments that train quantizers, as plain data: no drawing here."""

from qerror.pytorch.studies.catalogue import networks_document as networks_document
from qerror.pytorch.studies.layers import Agreement as Agreement
from qerror.pytorch.studies.layers import agreements as agreements
from qerror.pytorch.studies.layers import predict_document as predict_document
from qerror.pytorch.studies.layers import predict_study as predict_study
from qerror.pytorch.studies.noise import NoiseRow as NoiseRow
from qerror.pytorch.studies.noise import noise_document as noise_document
from qerror.pytorch.studies.noise import noise_study as noise_study
from qerror.pytorch.studies.ptq import PtqRow as PtqRow
from qerror.pytorch.studies.ptq import ptq_document as ptq_document
from qerror.pytorch.studies.ptq import ptq_study as ptq_study
from qerror.pytorch.studies.qat import MODES as MODES
from qerror.pytorch.studies.qat import STARTS as STARTS
from qerror.pytorch.studies.qat import QatRow as QatRow
from qerror.pytorch.studies.qat import qat_document as qat_document
from qerror.pytorch.studies.qat import qat_study as qat_study
from qerror.pytorch.studies.stalling import Stall as Stall
from qerror.pytorch.studies.stalling import stalls_of_samples as stalls_of_samples
from qerror.pytorch.studies.stalling import straight_through_stall as straight_through_stall
from qerror.pytorch.studies.stalling import threshold_share as threshold_share
from qerror.pytorch.studies.toy import ToyRun as ToyRun
from qerror.pytorch.studies.toy import toy_document as toy_document
from qerror.pytorch.studies.toy import toy_experiment as toy_experiment
from qerror.pytorch.studies.weights import WeightRow as WeightRow
from qerror.pytorch.studies.weights import weight_document as weight_document
from qerror.pytorch.studies.weights import weight_study as weight_study
