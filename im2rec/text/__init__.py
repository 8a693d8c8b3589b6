"""CSV and LibSVM: numbers in text, the two formats, and files of rows."""
