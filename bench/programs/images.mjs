// images.mjs COUNT: decodes, resizes and encodes photographs of 1600 x 1200 with sharp, one after the other.
import { createRequire } from 'node:module';

const sharp = createRequire(import.meta.url)('sharp');
const { result } = createRequire(import.meta.url)('./addon.cjs');
const count = Number(process.argv[2]);

sharp.concurrency(1);
sharp.cache(false);
const noise = { create: { width: 1600, height: 1200, channels: 3, noise: { type: 'gaussian', mean: 128, sigma: 30 } } };
const picture = await sharp(noise).jpeg().toBuffer();
const work = () => sharp(picture).resize(640).jpeg().toBuffer();
for (let i = 0; i < 3; i++) await work();

const times = [];
const cpu = process.cpuUsage();
const start = process.hrtime.bigint();
for (let i = 0; i < count; i++) {
  const before = process.hrtime.bigint();
  await work();
  times.push(Number(process.hrtime.bigint() - before) / 1e6);
}
const seconds = Number(process.hrtime.bigint() - start) / 1e9;
const { user, system } = process.cpuUsage(cpu);
times.sort((a, b) => a - b);
result({ perSecond: count / seconds, p99Ms: times[Math.floor(count * 0.99)], cpuUs: (user + system) / count });
