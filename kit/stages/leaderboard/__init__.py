"""What the board's numbers tell: how cross-validation and leaderboard agree, their noise, and what to send."""
