"""What every floor above may use: errors, configs read, tables, atomic files, the command line."""
