"""What users and scripts rely on: help, exit codes, JSON, completions, layers, cost of imports."""
