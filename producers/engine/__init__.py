"""BullMQ as Corral writes it: jobs, queues and schedules going in, and the fields and keys that lie beside them."""
