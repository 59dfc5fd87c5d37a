"""Forward levels with hand-written gradients: the pieces that every method is made of.

Each piece is an `autograd.Function` that says where a value counts as inside the range (the mask
rule) and what a parameter of the range receives (the scale rule). With v = x / s in units of the
step, q its level in the same units and g the gradient that comes in:

===================  ====================================================================
rule of the scale    ds
===================  ====================================================================
``residual``         inside g (q - v), outside g q: straight through (LSQ, TQT, paper 1)
``exact``            g q everywhere: the code is held fixed, and so dMSE/ds = (2/s) E[q s e]
``none``             nothing
===================  ====================================================================

Masks are computed as numbers 0 and 1 from the sign of a distance to the ends. A stored bool
would cost the compiled code more than the quantizer itself: its store is scalar on many CPUs.
"""

from qerror.pytorch.gradients.affine import Affine as Affine
from qerror.pytorch.gradients.clipped import Clipped as Clipped
from qerror.pytorch.gradients.codes import nearest_code as nearest_code
from qerror.pytorch.gradients.codes import quotient as quotient
from qerror.pytorch.gradients.floating import Floating as Floating
from qerror.pytorch.gradients.interval import Interval as Interval
from qerror.pytorch.gradients.masks import Mask as Mask
from qerror.pytorch.gradients.masks import ScaleRule as ScaleRule
from qerror.pytorch.gradients.masks import apply as apply
from qerror.pytorch.gradients.ranged import Ranged as Ranged
from qerror.pytorch.gradients.through import AtLeast as AtLeast
from qerror.pytorch.gradients.through import PowerOfTwo as PowerOfTwo
from qerror.pytorch.gradients.through import Replaced as Replaced
from qerror.pytorch.gradients.through import RoundThrough as RoundThrough
from qerror.pytorch.gradients.through import ScaledGradient as ScaledGradient
