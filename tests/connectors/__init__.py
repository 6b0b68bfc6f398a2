"""Each connector against its processor's own examples."""
