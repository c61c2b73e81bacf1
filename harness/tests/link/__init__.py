"""The Ethernet between the machines, tested without machines: sockets stand in for them."""
