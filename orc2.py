import sys; sys.path.insert(0,'/tmp/w/bl')
from orc import *
g=lambda x: np.exp(-x*x/2)/math.sqrt(2*math.pi)
T=0.0016741071428571428
print(lattice(g,8,T,1/128)[0],lattice(g,8,T,1/512)[0],lattice(g,16,T,1/128)[0],lattice(g,16,T,1/512)[0])
