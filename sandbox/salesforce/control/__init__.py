"""The lever beside the org: what a person or a test does to Salesforce, as no client of it could."""
