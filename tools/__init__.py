"""Scripts for kit's maintainers; the Makefile runs them. kit itself imports none of them."""
