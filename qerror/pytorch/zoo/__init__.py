"""Networks and data that are really there: trained in seconds, or carried by packages."""

from qerror.pytorch.examples import Dataset as Dataset
from qerror.pytorch.examples import Examples as Examples
from qerror.pytorch.zoo import digit_networks as digit_networks  # registers them
from qerror.pytorch.zoo import packaged_networks as packaged_networks
from qerror.pytorch.zoo.cache import cache_folder as cache_folder
from qerror.pytorch.zoo.digits import digits as digits
from qerror.pytorch.zoo.fashion import fashion_mnist as fashion_mnist
from qerror.pytorch.zoo.folder import ImageFolder as ImageFolder
from qerror.pytorch.zoo.hubs import hub_model as hub_model
from qerror.pytorch.zoo.networks import NETWORKS as NETWORKS
from qerror.pytorch.zoo.networks import Classifier as Classifier
from qerror.pytorch.zoo.networks import Network as Network
from qerror.pytorch.zoo.packaged import PackagedFile as PackagedFile
from qerror.pytorch.zoo.packaged import check_sha256 as check_sha256
