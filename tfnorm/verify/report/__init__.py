"""The results of a verification as a person, a browser or a CI system reads them."""
