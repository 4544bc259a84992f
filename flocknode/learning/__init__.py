"""torch: tasks, state dicts as flat words, training processes, evaluation."""
