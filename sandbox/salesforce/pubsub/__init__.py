"""The gRPC side of the org: subscribe, publish, schemas."""
