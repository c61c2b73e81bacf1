"""The pair: guest image, virtual machines, snapshots."""
