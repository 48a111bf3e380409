"""Generated studies: a head of ellipsoids, imaged by MR, CT or a multi-frame object. The same seed gives the same bytes."""
