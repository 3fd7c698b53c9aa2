"""The catalogue: what is for sale, as pages of products and products with their variants."""
