"""What a new org contains: catalog, accounts and orders of an invented telecom company."""
