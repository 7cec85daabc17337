"""Faults of the wire, as data: armed from the control endpoint, met by REST, Bulk and Pub/Sub calls."""
