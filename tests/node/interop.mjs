// Does one thing with plain BullMQ, as a program in Node would, and prints what it saw as JSON.
import { readFileSync } from "node:fs";
import { FlowProducer, Queue, QueueEvents, Worker } from "bullmq";
import { Redis } from "ioredis";

const { socket, queue, step, job: given } = JSON.parse(readFileSync(0, "utf8"));
const connection = new Redis({ path: socket, maxRetriesPerRequest: null });
const queues = new Queue(queue, { connection });

const steps = {
  // Who works on the queue, as Node's dashboards ask.
  async workers() {
    return { count: await queues.getWorkersCount(), workers: await queues.getWorkers() };
  },
  // Nothing but to open the queue, which leaves Node's version there.
  async watch_nothing() {
    await queues.waitUntilReady();
    return {};
  },
  // A job with all that Node knows of it.
  async job() {
    const job = await queues.getJob(given);
    const { logs } = await queues.getJobLogs(given);
    return { ...job.toJSON(), processedBy: job.processedBy, state: await job.getState(), logs };
  },
  // Adds a job, and gives each event of it until its end.
  async watch() {
    const listening = connection.duplicate();
    const events = new QueueEvents(queue, { connection: listening, lastEventId: "0-0" });
    await events.waitUntilReady();
    const seen = [];
    const ended = new Promise((resolve) => {
      for (const name of ["added", "waiting", "active", "progress", "completed", "failed"]) {
        events.on(name, (event) => {
          seen.push({ ...event, name });
          if (name === "completed" || name === "failed") resolve();
        });
      }
    });
    await queues.add(given.name, given.data, given.opts);
    await ended;
    await events.close();
    listening.disconnect();
    return { seen };
  },
  // Adds a job as a web tier in Node does.
  async add() {
    return { id: (await queues.add(given.name, given.data, given.opts)).id };
  },
  // Adds several in one call.
  async add_bulk() {
    return { ids: (await queues.addBulk(given)).map((job) => job.id) };
  },
  // Adds a flow of its own.
  async flow() {
    const { job, children } = await new FlowProducer({ connection }).add(given);
    return { id: job.id, children: children.map((child) => child.job.id) };
  },
  // What the children of a job have returned.
  async children_values() {
    return await (await queues.getJob(given)).getChildrenValues();
  },
  // Has a job made again and again.
  async schedule() {
    await queues.upsertJobScheduler("tick", given.repeat, given.template);
    return {};
  },
  // What an operator does, from a program or with a dashboard.
  async remove() {
    await (await queues.getJob(given)).remove();
    return {};
  },
  async drain() {
    await queues.drain(true);
    return {};
  },
  async clean() {
    return { ids: await queues.clean(0, 1000, given) };
  },
  async obliterate() {
    await queues.obliterate({ force: true });
    return {};
  },
  // Runs one job of the queue, whoever added it, with a worker in Node.
  async work() {
    const bound = connection.duplicate();
    let end;
    const done = new Promise((resolve) => (end = resolve));
    const worker = new Worker(queue, async (job) => ({ by: "node", text: job.data.text, keys: Object.keys(job.data) }), {
      connection: bound,
      name: "node",
    });
    worker.on("completed", (job, result) => end({ id: job.id, result }));
    const seen = await done;
    await worker.close();
    bound.disconnect();
    return seen;
  },
};

console.log(JSON.stringify(await steps[step]()));
await queues.close();
connection.disconnect();
