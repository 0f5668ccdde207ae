"""What a model is given: batch by batch, and inside it what its layers with moving statistics see."""
