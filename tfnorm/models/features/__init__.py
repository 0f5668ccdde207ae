"""What a schema describes, as the inputs of a model and what is made of them."""
