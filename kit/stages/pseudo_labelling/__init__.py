"""Teaching: what teachers may tell the student of a fold, which rows are sure enough, and how often they are right."""
