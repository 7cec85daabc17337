"""The HTTP side of the org: login, records, queries, Bulk 2.0 jobs."""
