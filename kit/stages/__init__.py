"""One folder per stage of the pipeline. Each stage reads the files of the previous one."""
