"""What runs inside the guests: the agents and the pytest plugin. Standard library, pytest and Scapy only."""
