"""What a first import decides: on which Keras, for whom, and what is loaded."""
