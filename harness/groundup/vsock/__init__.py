"""The vsock between the two machines: a switch that is the back-end of their vhost-user socket devices."""

from groundup.vsock.faults import Plan
from groundup.vsock.packet import CID_HOST, Op, Packet, Seqpacket, Shutdown, Type
from groundup.vsock.switch import Counters, HostEnd, Switch

__all__ = ["CID_HOST", "Counters", "HostEnd", "Op", "Packet", "Plan", "Seqpacket", "Shutdown", "Switch", "Type"]
