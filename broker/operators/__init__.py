"""Operators' actions: the command line and the admin API call the same code, so both obey the same rules.

Every action checks its arguments, makes one change with its audit row, and raises an OperatorError if it
cannot. Lists are read from the store directly.
"""
