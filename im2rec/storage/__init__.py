"""Where bytes live: files opened, read at any position, written aside and renamed."""
