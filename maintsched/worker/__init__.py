"""The worker's side of the world. So far: the one place that reads the clock."""
