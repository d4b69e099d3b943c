"""OUT: takes jobs from the queues, runs their handlers, and answers for what happens."""
