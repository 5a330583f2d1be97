"""What is measured, a module for each section; each has `measure(bench, stage)`."""
