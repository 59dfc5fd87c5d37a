"""Networks for small images: convolutions, depthwise convolutions, attention."""

from functools import partial

from qerror.pytorch.training.plan import Plan
from qerror.pytorch.zoo.digits import DIGITS, digits
from qerror.pytorch.zoo.fashion import FASHION, fashion_mnist
from qerror.pytorch.zoo.mobilenet import MobileNet
from qerror.pytorch.zoo.networks import NETWORKS, Classifier
from qerror.pytorch.zoo.resnet import ResNet
from qerror.pytorch.zoo.transformer import VisionTransformer

NETWORKS.register(
    "digits-resnet", Classifier("digits-resnet", ResNet, digits, Plan(15), (DIGITS,)), "resnet"
)
NETWORKS.register(
    "digits-mobilenet",
    Classifier("digits-mobilenet", MobileNet, digits, Plan(25), (DIGITS,)),
    "mobilenet",
)
NETWORKS.register(
    "digits-vit",
    Classifier(
        "digits-vit",
        VisionTransformer,
        digits,
        Plan(30, batch_size=32, learning_rate=0.002, label_smoothing=0.0, shifts=0),
        (DIGITS,),
    ),
    "vit",
)

NETWORKS.register(
    "fashion-resnet",
    Classifier(
        "fashion-resnet",
        ResNet,
        partial(fashion_mnist, train=20_000),  # a third of them, for minutes on one core
        Plan(4, batch_size=128, learning_rate=0.01, shifts=2),
        (FASHION,),
    ),
)
