"""The Ethernet between the two machines: switch, faults, capture, pictures of it."""
