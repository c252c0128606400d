"""A publisher and a listener for Groupcast relays."""

from .broadcaster import Broadcaster
from .errors import GroupcastError
from .listener import Gap, Listener
from .positions import Event, Position
from .tokens import sign_service_token, sign_token, sign_user_token

__all__ = [
    "Broadcaster",
    "Event",
    "Gap",
    "GroupcastError",
    "Listener",
    "Position",
    "sign_service_token",
    "sign_token",
    "sign_user_token",
]
__version__ = "0.1.0"
