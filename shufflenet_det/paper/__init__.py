"""The paper held against this package: its tables and figures, the zoo of configs, its claims."""
