"""Other people's data as events of ours. Each converter accounts for every row that it reads."""
