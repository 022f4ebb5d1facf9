"""What people and other programs read of a plan: a page for browsers and paper, a feed for calendars."""
