"""What runs in the guests, tested without guests: real programs on loopback, a host in the same process."""
