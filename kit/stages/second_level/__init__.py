"""The second level: a model of other members' probabilities and of the tables' columns."""
