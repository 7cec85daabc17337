"""One Salesforce org in memory, served over REST, Bulk 2.0 and Pub/Sub as the real one is."""
