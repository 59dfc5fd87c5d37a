"""Jin et al. 2022, F8Net: Fixed-Point 8-bit Only Network Quantization."""

from qerror.studies.f8net import fig3 as fig3
from qerror.studies.f8net import fig4 as fig4
from qerror.studies.f8net.rule import Claim as Claim
from qerror.studies.f8net.rule import f8net_claims as f8net_claims
from qerror.studies.f8net.rule import with_claims as with_claims
