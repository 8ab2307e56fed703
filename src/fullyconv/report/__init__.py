"""How results look: tables in a terminal, pictures and pages of their own."""
