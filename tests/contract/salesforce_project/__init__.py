"""Salesforce's own tools accept deploy/salesforce."""
