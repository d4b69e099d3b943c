// Runs code of a page of the documentation, with the names that it takes for granted.
import { readFileSync } from "node:fs";
import { Queue } from "bullmq";
import { Redis } from "ioredis";

const { socket, code, ref, url } = JSON.parse(readFileSync(0, "utf8"));
const connection = new Redis({ path: socket, maxRetriesPerRequest: null });
const opened = [];
class Noted extends Queue {
  constructor(...given) {
    super(...given);
    opened.push(this);
  }
}
const AsyncFunction = (async () => {}).constructor;
await new AsyncFunction("Queue", "connection", "ref", "url", code)(Noted, connection, ref, url);
await Promise.all(opened.map((queue) => queue.close()));
connection.disconnect();
