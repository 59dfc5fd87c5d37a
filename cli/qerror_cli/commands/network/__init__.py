"""``qerror network``: what formats cost real networks, predicted and measured."""

from qerror_cli.commands.network import after_training as after_training  # registers commands
from qerror_cli.commands.network import bench as bench
from qerror_cli.commands.network import fixed as fixed
from qerror_cli.commands.network import integers as integers
from qerror_cli.commands.network import layers as layers
from qerror_cli.commands.network import training as training
from qerror_cli.commands.network.options import command as command
