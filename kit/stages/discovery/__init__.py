"""kit init: a config from the files of a competition."""
