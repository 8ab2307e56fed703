"""One file for each family of operations; a file that lies here is found by `fullyconv.analyze.rule`."""
