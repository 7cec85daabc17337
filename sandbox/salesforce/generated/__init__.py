"""Code made from proto/pubsub_api.proto by proto/generate.py."""
