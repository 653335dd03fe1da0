"""Pictures of products: uploaded straight into object storage, checked and cleaned before anybody sees them."""
