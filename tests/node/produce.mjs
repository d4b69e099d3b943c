// Adds one job as the web tier does, without a word about Corral, and prints what its own events say of it.
import { readFileSync } from "node:fs";
import { Queue, QueueEvents } from "bullmq";
import { Redis } from "ioredis";

const { socket, queue, name, data } = JSON.parse(readFileSync(0, "utf8"));
const connection = new Redis({ path: socket, maxRetriesPerRequest: null });
const listening = connection.duplicate();
const events = new QueueEvents(queue, { connection: listening });
const jobs = new Queue(queue, { connection });
await events.waitUntilReady();

const progress = [];
events.on("progress", (event) => progress.push(event.data));
const job = await jobs.add(name, data);
try {
  const result = await job.waitUntilFinished(events, 60_000);
  console.log(JSON.stringify({ id: job.id, result, progress }));
} catch (error) {
  console.log(JSON.stringify({ id: job.id, failed: error.message, progress }));
}
await Promise.all([events.close(), jobs.close()]);
listening.disconnect();
connection.disconnect();
