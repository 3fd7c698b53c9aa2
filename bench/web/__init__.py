"""The shop over HTTP beside its peers: what is asked, by whom, and what was measured."""
