"""Pictures that people send: straight into a store, checked and written anew before anybody sees them."""
