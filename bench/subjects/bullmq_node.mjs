// BullMQ for Node, as the web tier has it: the same tasks and the same words as harness.py.
import { createRequire } from 'node:module';
import { performance } from 'node:perf_hooks';

const require = createRequire(process.env.BENCH_NODE_FOLDER + '/package.json');
const { Queue, Worker } = require('bullmq');

const [task, text] = process.argv.slice(2);
const config = { rate: 50, delay_s: 0, ...JSON.parse(text) };
const connection = { host: '127.0.0.1', port: config.port, maxRetriesPerRequest: null };
const now_ms = () => performance.timeOrigin + performance.now();
const payload = (due_s = 0) => ({ t: Math.round((now_ms() + due_s * 1000) * 1000) / 1000, pad: 'x'.repeat(55) });
const say = (figures) => process.stdout.write(JSON.stringify(figures) + '\n');
const used_s = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1e6; };

async function addMany(queue, count, inFlight = 100) {
  let left = count;
  const adder = async () => { while (left-- > 0) await queue.add('noop', payload()); };
  await Promise.all(Array.from({ length: inFlight }, adder));
}

async function enqueue(queue) {
  await addMany(queue, config.warm_up);
  for (const [name, inFlight] of [['serial', 1], ['concurrent', 100]]) {
    say({ event: 'begin' });
    const begun = performance.now(), used = used_s();
    await addMany(queue, config.jobs, inFlight);
    const took_s = (performance.now() - begun) / 1000;
    say({ event: 'end', case: name, rate: config.jobs / took_s, cpu_us: (used_s() - used) / config.jobs * 1e6 });
  }
}

async function pace(queue) {
  const begun = performance.now();
  for (let number = 0; number <= config.warm_up + config.jobs; number++) {
    const wait = begun + number / config.rate * 1000 - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    await queue.add('noop', payload(config.delay_s), config.delay_s ? { delay: config.delay_s * 1000 } : {});
  }
}

// What stays works until it is ended, and says nothing.
function run(onJob) {
  new Worker(config.queue, async (job) => onJob(job), { connection, concurrency: config.concurrency, removeOnComplete: { count: 0 } });
}

function work() {
  let number = 0, begun = 0, used = 0;
  const late = [];
  run((job) => {
    if (number >= config.warm_up) late.push(now_ms() - job.data.t);
    if (number === config.warm_up) {
      begun = performance.now(); used = used_s();
      say({ event: 'begin' });
    } else if (number === config.warm_up + config.jobs) {
      const took_s = (performance.now() - begun) / 1000, cpu_s = used_s() - used;
      late.sort((a, b) => a - b);
      process.stdout.write(JSON.stringify({
        event: 'end', rate: config.jobs / took_s, cpu_us: cpu_s / config.jobs * 1e6,
        p50_ms: late[Math.floor(late.length / 2)], p99_ms: late[Math.floor(late.length * 0.99)],
      }) + '\n', () => process.exit(0));
    }
    number++;
  });
}

if (task === 'work') {
  work();
} else if (task === 'stay') {
  run(() => {});
} else {
  const queue = new Queue(config.queue, { connection });
  const count = config.jobs + config.warm_up + config.concurrency + 10;
  await { fill: () => addMany(queue, count), enqueue: () => enqueue(queue), pace: () => pace(queue) }[task]();
  await queue.close();
}
