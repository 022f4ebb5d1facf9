"""Mail: a letter becomes bytes (compose), bytes reach a server (send), what comes back is read (bounces)."""
