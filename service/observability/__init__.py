"""What the service tells of itself: metrics, logs and traces. Nothing here is a global: instances are passed on."""
