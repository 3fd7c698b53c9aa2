"""What is for sale: pages of products, and a product with its variants."""
