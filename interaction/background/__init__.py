"""The slower half: thinks, looks things up and calls tools while the conversation goes on.

`protocol` says what goes there and what comes back, `desk` runs the tasks, `backends` do
the thinking, `tools` what they may call.
"""
