"""What the core's hot paths cost. Run with `make bench`; nothing here is asserted anywhere."""
