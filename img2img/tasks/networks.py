"""The networks of every kind of weight file that engines run, by what its header calls its network."""

from ..checkpoints import Checkpoint
from ..engines.network import Network
from .denoise.networks import NETWORKS as DENOISE

NETWORKS: dict[str, tuple[Network, ...]] = {**DENOISE}


def networks_of(checkpoint: Checkpoint) -> tuple[Network, ...]:
    """The networks of a weight file that have graphs; none for those that only PyTorch runs."""
    return NETWORKS.get(str(checkpoint.header.get("network")), ())
