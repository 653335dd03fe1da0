"""Products: the catalogue, its search, stock, reviews and wishlists."""
