"""kit init: makes a config from the files of a competition."""
