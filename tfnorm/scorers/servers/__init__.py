"""How a server is asked, over gRPC and REST, and what it says of its signatures."""
