// bull-board over Corral's queues. It has no login of its own: publish its port on loopback only, or
// put it behind a proxy that asks who is there.

import { createBullBoard } from "@bull-board/api";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import { ExpressAdapter } from "@bull-board/express";
import { Queue } from "bullmq";
import express from "express";
import { Redis } from "ioredis";

const url = required("CORRAL_REDIS_URL");
const queueNames = required("BULL_BOARD_QUEUES").split(",").map((name) => name.trim()).filter(Boolean);
const prefix = process.env.CORRAL_QUEUE_PREFIX ?? "bull";
const host = process.env.BULL_BOARD_HOST ?? "127.0.0.1";
const port = Number(process.env.BULL_BOARD_PORT ?? 8001);
const hostNames = (process.env.BULL_BOARD_HOST_NAMES ?? `127.0.0.1:${port},localhost:${port}`).split(",");
const readOnlyMode = process.env.BULL_BOARD_READ_ONLY === "true";

// unix://... is redis-py's form of an address; ioredis wants the bare path.
const address = url.startsWith("unix://") ? decodeURIComponent(new URL(url).pathname) : url;
// null: bull-board waits for a server that is restarting instead of ending with it.
const connection = new Redis(address, { maxRetriesPerRequest: null });
connection.on("error", (error) => console.error(`server not reached: ${error.code ?? error.message}`));

const queues = queueNames.map((name) => new Queue(name, { connection, prefix }));
const board = new ExpressAdapter();
for (const queue of queues) {
  queue.on("error", () => {}); // the connection has said it already, once for all queues
}
createBullBoard({
  queues: queues.map((queue) => new BullMQAdapter(queue, { readOnlyMode })),
  serverAdapter: board,
  options: { uiConfig: { boardTitle: "Corral" } },
});

const app = express();
app.disable("x-powered-by");
app.get("/livez", (_request, response) => response.type("text").send("ok\n"));
app.use(refuseForeignPages);
app.use(board.getRouter());

const server = app.listen(port, host, (error) => {
  if (error) {
    console.error(`BULL_BOARD_PORT ${port} cannot be used: ${error.message}`);
    process.exit(1);
  }
  console.log(`bull-board listens on http://${host}:${port}`);
});

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    server.close();
    server.closeAllConnections();
    connection.disconnect();
  });
}

// A page anywhere on the web may send requests to loopback. Without a login the only guards are the name
// it was reached by (a foreign name that points here is DNS rebinding) and what the browser says of the sender.
function refuseForeignPages(request, response, next) {
  const known = hostNames.includes(request.get("host"));
  // Older browsers and curl say nothing of the sender: for them the name is the only guard.
  const fromHere = ["same-origin", "none"].includes(request.get("sec-fetch-site") ?? "none");
  const readsOnly = ["GET", "HEAD"].includes(request.method);
  if (known && (readsOnly || fromHere)) {
    next();
    return;
  }
  response.status(403).type("text").send("refused: not this page's own request, or not a name in BULL_BOARD_HOST_NAMES\n");
}

function required(name) {
  const value = process.env[name];
  if (!value) {
    console.error(`${name} is not set`);
    process.exit(1);
  }
  return value;
}
