"""Ways to reach a host. Each runs an argv there and returns exit code, output and duration."""
