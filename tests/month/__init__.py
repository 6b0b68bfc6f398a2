"""A whole month of both processors through the public doors; every planted difference is found, and no other."""
