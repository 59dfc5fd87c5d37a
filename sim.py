import numpy as np, qerror as Q
from qerror import quantization_error
rng=np.random.default_rng(0)
A=Q.Mixture([Q.Uniform(-1,.3),Q.Uniform(-.2,2.)],[.6,.4])
print([float(A.cdf(np.array([x]))[0]) for x in (-.2,.3,1.)], A.kinks)
# reference with a single uniform by the same oracle
