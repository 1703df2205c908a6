"""What `make mutants` adds to mutmut: numbers in constants of modules, and a report by module."""
