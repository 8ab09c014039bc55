"""Statistics of the board: agreement of cross-validation and leaderboard, their noise, and which submissions
to send.
"""
